// What a device's answer code means, in words.

const CODES: Record<string, [name: string, meaning: string]> = {
  "2.01": ["Created", "Created."],
  "2.02": ["Deleted", "Deleted."],
  "2.03": ["Valid", "Unchanged since the last answer."],
  "2.04": ["Changed", "Done."],
  "2.05": ["Content", "Answered."],
  "2.31": ["Continue", "The device waits for the next block."],
  "4.00": ["Bad Request", "The device could not use this request: it is malformed, or the value does not fit."],
  "4.01": ["Unauthorized", "The device does not let this server do that (access control)."],
  "4.02": ["Bad Option", "The device does not know an option of the request."],
  "4.03": ["Forbidden", "The device refuses this to the server."],
  "4.04": ["Not Found", "The device has no such object, instance or resource."],
  "4.05": ["Method Not Allowed", "The device does not allow this operation here."],
  "4.06": ["Not Acceptable", "The device cannot answer in the wanted format. Try another one."],
  "4.08": ["Request Entity Incomplete", "The device lost a block of the request. Try again."],
  "4.09": ["Conflict", "The device is in a state that forbids this now."],
  "4.12": ["Precondition Failed", "A condition of the request does not hold on the device."],
  "4.13": ["Request Entity Too Large", "This is more than the device can take."],
  "4.15": ["Unsupported Content-Format", "The device does not understand the format sent. Try another one."],
  "4.22": ["Unprocessable Entity", "The device understood the request but cannot carry it out."],
  "4.29": ["Too Many Requests", "The device asks for fewer requests."],
  "5.00": ["Internal Server Error", "Something went wrong inside the device."],
  "5.01": ["Not Implemented", "The device does not implement this."],
  "5.02": ["Bad Gateway", "A device behind this one gave no good answer."],
  "5.03": ["Service Unavailable", "The device cannot do this now. Try again later."],
  "5.04": ["Gateway Timeout", "A device behind this one did not answer."],
};

/** `4.05 Method Not Allowed` */
export function codeText(code: string): string {
  const known = CODES[code];
  return known ? `${code} ${known[0]}` : code;
}

export function codeMeaning(code: string): string {
  return CODES[code]?.[1] ?? (isSuccess(code) ? "Done." : "The device refused.");
}

export function isSuccess(code: string): boolean {
  return code.startsWith("2.");
}
