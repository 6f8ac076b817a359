"""What py-spiffe makes of a Workload API, one JSON object a line. Ends when standard input does.

client.py SOCKET fetch|watch|bundles [--uid N]
"""

import argparse
import json
import os
import sys

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError


def say(**what):
    print(json.dumps(what), flush=True)


def public_bytes(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_by(svid, authorities):
    """The authority that signed the chain's end, or None: every link is verified."""
    for certificate, issuer in zip(svid.cert_chain, svid.cert_chain[1:]):
        certificate.verify_directly_issued_by(issuer)
    for authority in authorities:
        try:
            svid.cert_chain[-1].verify_directly_issued_by(authority)
            return authority
        except Exception:  # another authority's signature
            continue
    return None


def describe(svid, bundle):
    authority = signed_by(svid, bundle.x509_authorities)
    return {
        "spiffeId": str(svid.spiffe_id),
        "serial": format(svid.leaf.serial_number, "x"),
        "curve": svid.private_key.curve.name if isinstance(svid.private_key, ec.EllipticCurvePrivateKey) else "",
        "keyFits": public_bytes(svid.private_key.public_key()) == public_bytes(svid.leaf.public_key()),
        "authority": "" if authority is None else format(authority.serial_number, "x"),
        "authorities": len(bundle.x509_authorities),
    }


def of_context(context):
    svid = context.default_svid
    return describe(svid, context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("what", choices=["fetch", "watch", "bundles"])
    parser.add_argument("--uid", type=int)
    options = parser.parse_args()
    if options.uid is not None:
        # The kernel tells the server who connects, and nothing is connected yet.
        os.setgroups([])
        os.setgid(options.uid)
        os.setuid(options.uid)
    client = WorkloadApiClient(options.socket)
    try:
        if options.what == "fetch":
            svid = client.fetch_x509_svid(timeout=20)
            bundles = client.fetch_x509_bundles(timeout=20)
            say(**describe(svid, bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)))
        elif options.what == "bundles":
            bundles = client.fetch_x509_bundles(timeout=20)
            say(bundles={str(b.trust_domain): len(b.x509_authorities) for b in bundles.bundles})
        else:
            client.stream_x509_contexts(
                lambda context: say(**of_context(context)), lambda error: say(error=str(error))
            )
            sys.stdin.read()
    except PySpiffeError as error:
        say(error=str(error))
    client.close()


main()
