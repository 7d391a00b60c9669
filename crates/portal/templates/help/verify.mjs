import { createHmac, timingSafeEqual } from "node:crypto";

// payload: the exact body of a POST; path and query of a GET, such as "/postback?cid=1".
export function verify(secret, headers, payload) {
  const sentAt = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(sentAt)) <= 300)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const mac = createHmac("sha256", key).update(`${headers["webhook-id"]}.${sentAt}.`).update(payload);
  const expected = Buffer.from("v1," + mac.digest("base64"));
  const same = (one) => one.length === expected.length && timingSafeEqual(one, expected);
  return headers["webhook-signature"].split(" ").some((one) => same(Buffer.from(one)));
}
