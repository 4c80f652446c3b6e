"""A small LwM2M device on aiocoap: device.py SERVER_URI ENDPOINT.

Standard input: `set NUMBER` changes /3303/0/5700, `quit` de-registers. Standard output: an event a line.
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap import resource

TEXT, LINKS, SENML_JSON = 0, 40, 110
# More links than one block holds, so that the registration itself is block-wise.
LINK_LIST = ",".join(["</1/0>", "</3/0>", "</3303/0>", "</3442/0>"] + [f"</10250/{n}>" for n in range(120)])


def say(line):
    print(line, flush=True)


class Value(resource.ObservableResource):
    """One readable and writable string or number, as text or SenML JSON."""

    def __init__(self, path, value):
        super().__init__()
        self.path, self.value = path, value

    def set(self, value):
        self.value = value
        self.updated_state()

    async def render_get(self, request):
        if request.opt.accept in (None, TEXT):
            return aiocoap.Message(payload=str(self.value).encode(), content_format=TEXT)
        if request.opt.accept == SENML_JSON:
            key = "vs" if isinstance(self.value, str) else "v"
            body = json.dumps([{"n": self.path, key: self.value}]).encode()
            return aiocoap.Message(payload=body, content_format=SENML_JSON)
        return aiocoap.Message(code=aiocoap.NOT_ACCEPTABLE)

    async def render_put(self, request):
        self.set(request.payload.decode())
        return aiocoap.Message(code=aiocoap.CHANGED)


class Action(resource.Resource):
    """Something to execute; its argument is printed."""

    async def render_post(self, request):
        say(f"executed {request.payload.decode()}")
        return aiocoap.Message(code=aiocoap.CHANGED)


async def main():
    server, endpoint = sys.argv[1:3]
    site = resource.Site()
    temperature = Value("/3303/0/5700", 20.5)
    text = Value("/3442/0/110", "a" * 5000)
    site.add_resource(["3", "0", "0"], Value("/3/0/0", "aiocoap"))
    site.add_resource(["3", "0", "4"], Action())
    site.add_resource(["3303", "0", "5700"], temperature)
    site.add_resource(["3442", "0", "110"], text)
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0))

    query = f"ep={endpoint}&lt=3600&lwm2m=1.1&b=U"
    register = aiocoap.Message(
        code=aiocoap.POST, uri=f"{server}/rd?{query}", payload=LINK_LIST.encode(), content_format=LINKS
    )
    answer = await context.request(register).response
    location = "/".join(answer.opt.location_path)
    say(f"registered {answer.code.dotted} {location}")

    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, _, argument = line.strip().partition(" ")
        if command == "set":
            temperature.set(float(argument))
        elif command == "fill":
            text.set(argument[0] * int(argument[1:]))
            say("filled")
        elif command == "update":
            update = aiocoap.Message(code=aiocoap.POST, uri=f"{server}/{location}")
            say(f"updated {(await context.request(update).response).code.dotted}")
        elif command == "quit":
            break
    leave = aiocoap.Message(code=aiocoap.DELETE, uri=f"{server}/{location}")
    say(f"deregistered {(await context.request(leave).response).code.dotted}")
    await context.shutdown()


asyncio.run(main())
