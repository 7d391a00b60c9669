import base64, hashlib, hmac, time

def verify(secret: str, headers: dict, payload: bytes) -> bool:
    """payload: the exact body of a POST; path and query of a GET, such as b"/postback?cid=1"."""
    sent_at = headers["webhook-timestamp"]
    if abs(time.time() - int(sent_at)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f'{headers["webhook-id"]}.{sent_at}.'.encode() + payload
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, one) for one in headers["webhook-signature"].split())
