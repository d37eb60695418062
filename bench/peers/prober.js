// The way Uptime Kuma probes: axios, new agents for each check, and a look at the chain of certificates. Told as
// prober.py is.
const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");

let axios;
try {
  axios = require("axios");
} catch {
  process.exit(3); // as prober.py says that something is not installed
}

const [url, cafile] = process.argv.slice(2);
const ca = fs.readFileSync(cafile);
const AT_ONCE = 50;

function daysLeft(socket) {
  let days = Infinity;
  let certificate = socket.getPeerCertificate(true);
  const seen = new Set();
  while (certificate?.valid_to && !seen.has(certificate.fingerprint)) {
    seen.add(certificate.fingerprint);
    days = Math.min(days, (new Date(certificate.valid_to) - Date.now()) / 86_400_000);
    certificate = certificate.issuerCertificate;
  }
  return days;
}

async function probe() {
  const began = Date.now();
  let socket;
  const httpsAgent = new https.Agent({ maxCachedSessions: 0, ca, rejectUnauthorized: true });
  httpsAgent.once("keylog", (line, tls) => {
    socket = tls;
    tls.once("secureConnect", () => (tls.daysLeft = daysLeft(tls)));
  });
  const response = await axios.request({
    url,
    method: "get",
    timeout: 10_000,
    maxRedirects: 10,
    validateStatus: (status) => status >= 200 && status < 300,
    responseType: "text",
    transformResponse: (text) => text,
    httpAgent: new http.Agent({ maxCachedSessions: 0 }),
    httpsAgent,
    signal: AbortSignal.timeout(20_000),
  });
  if (!response.data.includes('"status": "ok"')) throw new Error("a wrong answer");
  if (socket && !(socket.daysLeft > 0)) throw new Error("the certificate is not valid");
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
