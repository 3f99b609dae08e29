"""Creates a public container with the key of its account.

Usage: container.py ENDPOINT ACCOUNT KEY CONTAINER. The request is signed with Python's own library,
independently of Keepwatch's code for signatures.
"""

import base64
import hashlib
import hmac
import sys
import urllib.request
from email.utils import formatdate

endpoint, account, key, container = sys.argv[1:5]
headers = {
    "x-ms-blob-public-access": "container",
    "x-ms-date": formatdate(usegmt=True),
    "x-ms-version": "2021-08-06",
}
own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
# With the account in the URL path, the signed resource contains it twice.
text = "PUT" + "\n" * 12 + own + f"/{account}/{account}/{container}\nrestype:container"
signature = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
headers["authorization"] = f"SharedKey {account}:{base64.b64encode(signature).decode()}"
url = f"{endpoint}/{account}/{container}?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers))
