/**
 * E-mail addresses as third-party identifiers. Spec: appendices/#3pid-types.
 *
 * Two spellings of one address must be one identifier, so an address is brought to one form, and mail goes to that form
 * only: never to what a client wrote, which may merely look like it.
 */
import { hasOnlyScalars } from './characters.ts'

declare const brand: unique symbol
export type EmailAddress = string & { readonly [brand]: 'EmailAddress' }

/** A local part without quotes and comments, and a host name with a dot. */
const form =
  /^[^\s@"(),:;<>[\\\]\p{Cc}\p{Cf}]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}\p{N}-]{2,}$/u

/** The Kelvin sign, the Greek question mark and the Greek varia, which normalisation turns into K, ; and `. */
const posesAsAscii = /[\u212a\u037e\u1fef]/

/**
 * The address in its one form: normalised, A–Z as a–z. Other letters keep their case: folding those would make one
 * address of two that reach different people. Undefined for what is no address that mail can be sent to.
 */
export function parseEmailAddress(value: unknown): EmailAddress | undefined {
  if (typeof value !== 'string' || value.length > 254 || !hasOnlyScalars(value)) return undefined
  if (posesAsAscii.test(value)) return undefined
  const address = value.normalize('NFC').replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return isAddress(address) ? address : undefined
}

function isAddress(address: string): address is EmailAddress {
  return address.length <= 254 && form.test(address) && !/^\.|\.@|\.\./.test(address)
}
