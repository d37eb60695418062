// socket.io as its own documents show it: io.emit to everybody, over WebSockets alone.
//
// Each line on stdin is one JSON object that is emitted to every client. Prints its port, and ends with stdin.
// Ends with code 3 where socket.io is not installed; NODE_PATH may say where it is.
"use strict";

let Server;
try {
  ({ Server } = require("socket.io"));
} catch {
  process.exit(3);
}

const http = require("http").createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(http.address().port));

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => io.emit("patch", JSON.parse(line)))
  .on("close", () => process.exit(0));
