// Posts one event as Remnawave does: JSON.stringify once, sign that text, post that text.
// Usage: node panel.mjs URL SECRET [TIMES]; prints a line of JSON for each answer.
import { createHmac } from "node:crypto";
import axios from "axios";

const [url, secret, times = "1"] = process.argv.slice(2);
const timestamp = "2026-01-05T09:00:00.000Z";
const payload = {
  scope: "user",
  event: "user.modified",
  timestamp,
  data: {
    username: "anna_k",
    description: "Анна — «Базовый» 🚀",
    separator: "\u2028",
    big: 1e21,
    exact: String(9007199254740993n),
    small: 1e-7,
    lone: "\ud800",
    path: "a/b",
  },
};
const body = JSON.stringify(payload);
const headers = {
  "Content-Type": "application/json",
  "X-Remnawave-Signature": createHmac("sha256", secret).update(body).digest("hex"),
  "X-Remnawave-Timestamp": timestamp,
  "User-Agent": "Remnawave",
};

for (let time = 0; time < Number(times); time += 1) {
  const answer = await axios.post(url, body, { headers, proxy: false, validateStatus: () => true });
  console.log(JSON.stringify({ status: answer.status, answer: answer.data, sent: body }));
}
