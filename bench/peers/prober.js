// The way Uptime Kuma probes: axios, and new agents for each check. Told as prober.py is.
const axios = require("axios");
const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");

const [url, cafile] = process.argv.slice(2);
const ca = fs.readFileSync(cafile);
const AT_ONCE = 50;

async function probe() {
  const began = Date.now();
  const response = await axios.request({
    url,
    method: "get",
    timeout: 10_000,
    maxRedirects: 10,
    validateStatus: (status) => status >= 200 && status < 300,
    responseType: "text",
    transformResponse: (text) => text,
    httpAgent: new http.Agent({ maxCachedSessions: 0 }),
    httpsAgent: new https.Agent({ maxCachedSessions: 0, ca, rejectUnauthorized: true }),
    signal: AbortSignal.timeout(20_000),
  });
  if (!response.data.includes('"status": "ok"')) throw new Error("a wrong answer");
  return Date.now() - began;
}

async function work(probes) {
  let left = probes;
  const walk = async () => {
    while (left-- > 0) await probe();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, walk));
}

async function main() {
  await probe();
  console.log("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await work(Number(line));
    console.log("done");
  }
}

main();
