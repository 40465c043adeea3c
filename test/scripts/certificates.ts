/**
 * X.509 certificates for tests: an authority and a server's certificate by it, made anew each time so that no private key
 * lies in the repository. Just enough of RFC 5280's DER, and nothing to use elsewhere.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

export interface Issued {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

/** An authority, and a certificate for 127.0.0.1 and localhost that it has signed. */
export function makeCertificates(): { readonly authority: Issued; readonly server: Issued } {
  const authority = issue({ name: 'Test authority', authority: true })
  const server = issue({ name: 'localhost', authority: false, by: authority })
  return { authority, server }
}

/** A certificate by `authority` for these DNS names; `days`: for how long it still holds. */
export function certificateFor(names: readonly string[], authority: Issued, days = 1): Issued {
  return issue({ name: names[0] ?? '', authority: false, by: authority, names, days })
}

interface Wish {
  readonly name: string
  readonly authority: boolean
  /** DNS names; localhost and 127.0.0.1 where there are none. */
  readonly names?: readonly string[]
  readonly days?: number
  /** Absent: it signs itself. */
  readonly by?: Issued
}

function issue({ name, authority, by, names, days = 1 }: Wish): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = by ? createPrivateKey(by.key) : privateKey
  const body = sequence(
    tagged(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), randomBytes(8)])),
    ecdsaWithSha256,
    nameOf(by ? 'Test authority' : name),
    sequence(time(-9), time(days)),
    nameOf(name),
    publicKey.export({ format: 'der', type: 'spki' }),
    tagged(0xa3, sequence(...extensions(authority, names))),
  )
  const signature = sign('sha256', body, signer)
  const certificate = sequence(body, ecdsaWithSha256, bits(signature))
  return { cert: pem(certificate), key: exported(privateKey) }
}

function extensions(authority: boolean, dnsNames: readonly string[] = ['localhost']): Buffer[] {
  const basicConstraints = extension(0x13, sequence(...(authority ? [der(0x01, Buffer.of(0xff))] : [])), true)
  if (authority) return [basicConstraints]
  const names = sequence(
    ...dnsNames.map((name) => der(0x82, Buffer.from(name))),
    ...(dnsNames.includes('localhost') ? [der(0x87, Buffer.of(127, 0, 0, 1))] : []),
  )
  return [basicConstraints, extension(0x11, names, false)]
}

/** id-ce is 2.5.29. */
function extension(number: number, value: Buffer, critical: boolean): Buffer {
  const id = der(0x06, Buffer.of(0x55, 0x1d, number))
  return sequence(id, ...(critical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value))
}

/** 1.2.840.10045.4.3.2 */
const ecdsaWithSha256 = sequence(der(0x06, Buffer.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)))

/** A name of one attribute: commonName, 2.5.4.3. */
function nameOf(name: string): Buffer {
  return sequence(der(0x31, sequence(der(0x06, Buffer.of(0x55, 0x04, 0x03)), der(0x0c, Buffer.from(name)))))
}

/** UTCTime, some days from now. */
function time(days: number): Buffer {
  const iso = new Date(Date.now() + days * 86_400_000).toISOString()
  return der(0x17, Buffer.from(`${iso.slice(2, 19).replaceAll(/[-:T]/g, '')}Z`))
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes)
}

function bits(bytes: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.of(0), bytes]))
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function tagged(tag: number, content: Buffer): Buffer {
  return der(tag, content)
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

function exported(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}
