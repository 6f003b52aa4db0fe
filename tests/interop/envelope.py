#!/usr/bin/env python3
"""The envelope of docs/src/crypto.md, a second time: sections 2, 3 and 5, from the page alone.

Reads the vectors that the Rust tests read (tests/vectors/crypto) and fails on the first byte that differs:
  seal.json   from entropy, header and message to every part of the ciphertext and the SHA-256 of all of it
  bad.json    the word of admission's refusal
  odd.json    admission, then the one opening: from every choice of three of four shares, and from the secret

Only Python's standard library. Slow and not in constant time: a checker, never a wallet.
"""

import hashlib
import itertools
import json
import pathlib
import struct
import sys

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
ORD = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
H = 0xD201000000010001  # clears the cofactor of G1
GBAR = "852d2f9d577eca2be3e34e0f8b1e8ce514302446e46efcee399b31c767ccd63010b812bd8f69c4b4522adc1edc5d337b"


class Field:
    """Integers modulo P."""

    zero, one, b = 0, 1, 4
    add = staticmethod(lambda x, y: (x + y) % P)
    sub = staticmethod(lambda x, y: (x - y) % P)
    mul = staticmethod(lambda x, y: x * y % P)
    inv = staticmethod(lambda x: pow(x, -1, P))


class Field2:
    """a + bi with i^2 = -1, as pairs."""

    zero, one, b = (0, 0), (1, 0), (4, 4)
    add = staticmethod(lambda x, y: ((x[0] + y[0]) % P, (x[1] + y[1]) % P))
    sub = staticmethod(lambda x, y: ((x[0] - y[0]) % P, (x[1] - y[1]) % P))
    mul = staticmethod(lambda x, y: ((x[0] * y[0] - x[1] * y[1]) % P, (x[0] * y[1] + x[1] * y[0]) % P))

    @staticmethod
    def inv(x):
        d = pow(x[0] * x[0] + x[1] * x[1], -1, P)
        return (x[0] * d % P, -x[1] * d % P)


def add(F, a, b):
    """The sum of two affine points; None is the identity."""
    if a is None or b is None:
        return a or b
    (ax, ay), (bx, by) = a, b
    if ax == bx:
        if ay != by or ay == F.zero:
            return None
        square = F.mul(ax, ax)
        slope = F.mul(F.add(F.add(square, square), square), F.inv(F.add(ay, ay)))
    else:
        slope = F.mul(F.sub(by, ay), F.inv(F.sub(bx, ax)))
    x = F.sub(F.sub(F.mul(slope, slope), ax), bx)
    return x, F.sub(F.mul(slope, F.sub(ax, x)), ay)


def mul(F, scalar, point):
    """Double and add: right for every point of the curve."""
    out = None
    for bit in bin(scalar)[2:]:
        out = add(F, out, out)
        if bit == "1":
            out = add(F, out, point)
    return out


def g1(scalar, point):
    return mul(Field, scalar, point)


def negated(point):
    return None if point is None else (point[0], -point[1] % P)


G = (
    0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB,
    0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1,
)
G2 = (
    (
        0x024AA2B2F08F0A91260805272DC51051C6E47AD4FA403B02B4510B647AE3D1770BAC0326A805BBEFD48056C8C121BDB8,
        0x13E02B6052719F607DACD3A088274F65596BD0D09920B61AB5DA61BBDC7F5049334CF11213945D57E5AC7D055D042B7E,
    ),
    (
        0x0CE5D527727D6E118CC9CDC6DA2E351AADFD9BAA8CBDD3A76D429A695160D12C923AC9CC3BACA289E193548608B82801,
        0x0606C4A02EA734CC32ACD2B02BC28B99CB3E287E85A763AF267492AB572E99AB3F370D275CEC1DA1AAA9075FF05F79BE,
    ),
)


def compress(point):
    x, y = point
    out = bytearray(x.to_bytes(48, "big"))
    out[0] |= 0xA0 if 2 * y > P else 0x80
    return bytes(out)


def compress_g2(point):
    (x0, x1), (y0, y1) = point
    out = bytearray(x1.to_bytes(48, "big") + x0.to_bytes(48, "big"))
    out[0] |= 0xA0 if 2 * (y1 or y0) > P else 0x80
    return bytes(out)


def point(data):
    """A canonical compressed point, not the identity, x not 0; else None."""
    flags, x = data[0] >> 5, int.from_bytes(data, "big") & (1 << 381) - 1
    if flags not in (4, 5) or not 0 < x < P:
        return None
    square = (x * x * x + 4) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return x, y if (2 * y > P) == (flags == 5) else P - y


def framed(algorithm, tag, parts):
    data = bytes([len(tag)]) + tag.encode()
    for part in parts:
        data += struct.pack("<I", len(part)) + part
    return algorithm(data).digest()


def t256(tag, *parts):
    return framed(hashlib.sha256, tag, parts)


def fr(tag, *parts):
    return int.from_bytes(framed(hashlib.sha512, tag, parts), "little") % ORD


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def chacha_blocks(key, count):
    """Key stream under nonce 0 (RFC 8439), blocks 0 to count - 1."""
    for counter in range(count):
        start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), counter, 0, 0, 0]
        state = list(start)

        def quarter(a, b, c, d):
            for into, other, with_, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[into] = (state[into] + state[other]) & 0xFFFFFFFF
                mixed = state[with_] ^ state[into]
                state[with_] = (mixed << bits | mixed >> 32 - bits) & 0xFFFFFFFF

        for _ in range(10):
            for column in range(4):
                quarter(column, column + 4, column + 8, column + 12)
            for column in range(4):
                quarter(column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12)
        yield struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(start, state)))


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at : at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def body_stream(key_id, k, u, length):
    key = t256("lockstep/tdh2/dem/v1", key_id, k, u)
    stream = b"".join(chacha_blocks(key, 1 + (length + 63) // 64))
    return stream[:32], stream[64 : 64 + length]


def tag_of(one_time, aad, sealed):
    padded = b"".join(part + bytes(-len(part) % 16) for part in (aad, sealed))
    return poly1305(one_time, padded + struct.pack("<QQ", len(aad), len(sealed)))


class Key:
    """What envelopes are sealed to."""

    def __init__(self, pk, pk2):
        self.pk = pk
        self.id = t256("lockstep/key/v1", compress(pk), pk2)

    @classmethod
    def of(cls, secret):
        return cls(g1(secret, G), compress_g2(mul(Field2, secret, G2)))


def secrets(key, k, aad, message):
    hm = t256("lockstep/tdh2/msg/v1", aad, message)
    return fr("lockstep/tdh2/r/v1", key.id, k, hm), fr("lockstep/tdh2/s/v1", key.id, k, hm)


def mask(key, u, shared, with_):
    return xor(with_, t256("lockstep/tdh2/mask/v1", key.id, u, shared))


def challenge(key, aad, c1, body, points):
    return fr("lockstep/tdh2/e/v1", key.id, t256("lockstep/tdh2/ct/v1", aad, c1, body), *points)


def seal(key, entropy, aad, text, size):
    """Every part, by name."""
    message = struct.pack("<I", len(text)) + text + bytes(size - 4 - len(text))
    k = t256("lockstep/tdh2/k/v1", entropy, key.id, t256("lockstep/tdh2/msg/v1", aad, message))[:16]
    r, s = secrets(key, k, aad, message)
    gbar = point(bytes.fromhex(GBAR))
    u, v, w, x = (compress(g1(scalar, base)) for scalar, base in ((r, G), (r, gbar), (s, G), (s, gbar)))
    c1 = mask(key, u, compress(g1(r, key.pk)), k)
    one_time, stream = body_stream(key.id, k, u, size)
    sealed = xor(message, stream)
    body = sealed + tag_of(one_time, aad, sealed)
    z = ((s + challenge(key, aad, c1, body, (u, v, w, x)) * r) % ORD).to_bytes(32, "little")
    return {"k": k, "u": u, "v": v, "w": w, "xPoint": x, "z": z, "c1": c1, "all": u + v + w + x + z + c1 + body}


def admit(key, aad, size, data):
    """None, or the word of the refusal."""
    if len(data) != 240 + size + 16:
        return "LENGTH"
    encoded = [data[at : at + 48] for at in range(0, 192, 48)]
    points = [point(one) for one in encoded]
    if None in points:
        return "POINT"
    z = int.from_bytes(data[192:224], "little")
    if z >= ORD:
        return "SCALAR"
    u, v, w, x = points
    if g1(ORD, u) is not None:
        return "SUBGROUP"
    e = challenge(key, aad, data[224:240], data[240:], encoded)
    for base, commitment, power in ((G, w, u), (point(bytes.fromhex(GBAR)), x, v)):
        rest = add(Field, g1(z, base), negated(add(Field, commitment, g1(e, power))))
        if rest is not None and g1(H, rest) is not None:
            return "PROOF"
    return None


def opening(key, aad, data, shared):
    """K, or None where no key opens; `shared` is x U."""
    u, c1, sealed, tag = data[:48], data[224:240], data[240:-16], data[-16:]
    k = mask(key, u, compress(shared), c1)
    one_time, stream = body_stream(key.id, k, u, len(sealed))
    if tag_of(one_time, aad, sealed) != tag:
        return None
    r, _ = secrets(key, k, aad, xor(sealed, stream))
    holds = g1(r, G) == point(u) and mask(key, u, compress(g1(r, key.pk)), k) == c1
    return k if holds else None


def combined(members, shares):
    """D from the shares of these members, by Lagrange at 0; member j stands at j + 1."""
    total = None
    for j in members:
        weight = 1
        for m in members:
            if m != j:
                weight = weight * (m + 1) * pow(m - j, -1, ORD) % ORD
        total = add(Field, total, g1(weight, shares[j]))
    return total


def same(name, what, got, want):
    if got != want:
        sys.exit(f"{name}: {what} is {got!r}, the vectors say {want!r}")


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "crypto"
    read = lambda name: json.loads((folder / name).read_text())
    raw = lambda text: bytes.fromhex(text.removeprefix("0x"))

    same("curve", "the order of the second base", g1(ORD, point(bytes.fromhex(GBAR))), None)
    sealed = read("seal.json")["cases"]
    for case in sealed:
        key = Key.of(case["x"])
        same(case["name"], "keyId", "0x" + key.id.hex(), case["keyId"])
        parts = seal(key, raw(case["entropy"]), raw(case["aad"]), raw(case["message"]), case["class"])
        for part in ("k", "u", "v", "w", "xPoint", "z", "c1"):
            same(case["name"], part, "0x" + parts[part].hex(), case[part])
        same(case["name"], "bytes", len(parts["all"]), case["bytes"])
        same(case["name"], "sha256", "0x" + hashlib.sha256(parts["all"]).hexdigest(), case["sha256"])
        same(case["name"], "admission", admit(key, raw(case["aad"]), case["class"], parts["all"]), None)

    bad = read("bad.json")
    key = Key.of(bad["x"])
    for case in bad["cases"]:
        verdict = admit(key, raw(bad["aad"]), bad["class"], raw(case["ciphertext"]))
        same(case["name"], "admission", verdict, case["reason"])

    odd = read("odd.json")
    aad, secret_shares = raw(odd["aad"]), [int.from_bytes(raw(share), "little") for share in odd["shares"]]
    key = Key(point(raw(odd["commitments"][0])), raw(odd["publicKeyG2"]))
    for case in odd["cases"]:
        data = raw(case["ciphertext"])
        same(case["name"], "admission", admit(key, aad, odd["class"], data), None)
        shares = [g1(share, point(data[:48])) for share in secret_shares]
        for members in itertools.combinations(range(len(shares)), 3):
            shared = combined(members, shares)
            k = opening(key, aad, data, shared)
            got = {"bottom": "0x" + compress(shared).hex()} if k is None else {"key": "0x" + k.hex()}
            same(case["name"], "opening", got, case["opening"])

    print(f"envelope.py: {len(sealed)} sealed, {len(bad['cases'])} refused, {len(odd['cases'])} odd: all agree")


main()
