"""A small LwM2M server on aiocoap: server.py PORT.

Standard input: one JSON request a line, {"method", "path", "accept", "format", "payload", "observe"}. Standard
output: one JSON answer a line; what happens unasked is a line {"event", …}.
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap import resource


def say(**fields):
    print(json.dumps(fields), flush=True)


class Registrations(resource.Resource):
    """/rd and the one location that it hands out."""

    def __init__(self):
        super().__init__()
        self.device = None

    async def render_post(self, request):
        query = dict(part.partition("=")[::2] for part in request.opt.uri_query)
        self.device = request.remote.hostinfo
        if "ep" not in query:
            say(event="updated")
            return aiocoap.Message(code=aiocoap.CHANGED)
        say(event="registered", endpoint=query["ep"], links=request.payload.decode(), query=query)
        return aiocoap.Message(code=aiocoap.CREATED, location_path=["rd", "a1"])

    async def render_delete(self, request):
        say(event="deregistered")
        return aiocoap.Message(code=aiocoap.DELETED)


def answer(message):
    text = message.payload.decode("utf-8", "replace")
    return {"code": message.code.dotted, "format": message.opt.content_format, "payload": text}


async def serve(context, registrations, observations, line):
    order = json.loads(line)
    path = order["path"]
    if order["method"] == "CANCEL":
        observations.pop(path).observation.cancel()
        say(code="cancelled")
        return
    request = aiocoap.Message(
        code=getattr(aiocoap, order["method"]), uri=f"coap://{registrations.device}{path}"
    )
    request.payload = order.get("payload", "").encode()
    for name in ("accept", "content_format"):
        if order.get(name) is not None:
            setattr(request.opt, name, order[name])
    if order.get("observe"):
        request.opt.observe = 0
    running = context.request(request)
    try:
        say(**answer(await asyncio.wait_for(running.response, 30)))
    except Exception as error:  # whatever goes wrong is the answer
        say(error=repr(error))
        return
    if order.get("observe"):
        observations[path] = running
        running.observation.register_callback(lambda message: say(event="notified", path=path, **answer(message)))
        running.observation.register_errback(lambda error: say(event="observation-ended", error=repr(error)))


async def main():
    registrations, observations = Registrations(), {}
    site = resource.Site()
    site.add_resource(["rd"], registrations)
    site.add_resource(["rd", "a1"], registrations)
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[1])))
    say(event="ready")
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await serve(context, registrations, observations, line)
    await context.shutdown()


asyncio.run(main())
