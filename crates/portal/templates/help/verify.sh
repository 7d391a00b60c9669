# One message by hand: is the printed signature in its webhook-signature header?
key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -vtx1 | tr -d ' \n')
printf %s "$WEBHOOK_ID.$WEBHOOK_TIMESTAMP.$PAYLOAD" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64 | sed 's/^/v1,/'
