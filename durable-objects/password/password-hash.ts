/**
 * Password hashes: scrypt with 16 MiB, written as a PHC string with everything that is needed to check them later.
 *
 * `$scrypt$ln=14,r=8,p=5$<salt>$<hash>`. scrypt, because node:crypto has it natively wherever this runs, while argon2 would
 * need WebAssembly in each of three bundles. N = 2^14, r = 8, p = 5 is among the settings that OWASP recommends.
 */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'

interface Parameters {
  /** log2 of N. */
  readonly ln: number
  readonly r: number
  readonly p: number
}
const memory = { ln: 14, r: 8 }
const hashLength = 32

/** Hashes a password; `cost` is p. */
export function hashPassword(password: string, cost: number): string {
  const salt = randomBytes(16)
  const parameters = { ...memory, p: cost }
  const { ln, r, p } = parameters
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(derive(password, salt, parameters))}`
}

/** Whether the password is the one hashed, and whether the hash is cheaper than new ones are. */
export function verifyPassword(password: string, phc: string, cost: number): { matches: boolean; outdated: boolean } {
  const parsed = parsePhc(phc)
  if (!parsed) throw new TypeError('not a password hash of this server')
  const { parameters, salt, hash } = parsed
  const matches = timingSafeEqual(derive(password, salt, parameters), hash)
  const work = ({ ln, r, p }: Parameters) => 2 ** ln * r * p
  return { matches, outdated: work(parameters) < work({ ...memory, p: cost }) }
}

/** Takes as long as a verification and matches nothing: for names that nobody has. */
export function verifyNothing(password: string, cost: number): void {
  derive(password, randomBytes(16), { ...memory, p: cost })
}

/** The same characters typed on another keyboard are the same password, hence the normal form. */
function derive(password: string, salt: Uint8Array, { ln, r, p }: Parameters): Buffer {
  return scryptSync(password.normalize('NFKC'), salt, hashLength, { N: 2 ** ln, r, p, maxmem: 64 * 1024 * 1024 })
}

const phcForm = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]{43})$/

function parsePhc(phc: string) {
  const match = phcForm.exec(phc)
  if (!match) return undefined
  const [, ln, r, p, salt = '', hash = ''] = match
  return {
    parameters: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
