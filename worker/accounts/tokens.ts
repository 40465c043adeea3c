/**
 * The form of access and refresh tokens: `hrt_<localpart>_<random>_<checksum>`, `hrr_` for refresh tokens,
 * `hro_` for OpenID tokens, `hrl_` for login tokens.
 *
 * The prefix lets scanners of leaked secrets find them, the localpart lets their finder tell whom to warn, and the
 * checksum refuses a mistyped token without asking the database. Only the hash of a token is ever stored: it is random
 * enough that a plain SHA-256 cannot be searched back.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

import { localpartOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export type TokenKind = 'access' | 'refresh' | 'openId' | 'login'
const prefixes: Readonly<Record<TokenKind, string>> = { access: 'hrt', refresh: 'hrr', openId: 'hro', login: 'hrl' }

export function makeToken(kind: TokenKind, userId: UserId): string {
  const localpart = encodeBase64UrlUnpadded(new TextEncoder().encode(localpartOf(userId)))
  // 32 of 62 letters: 190 bits.
  const body = `${prefixes[kind]}_${localpart}_${randomText(32)}`
  return `${body}_${checksum(body)}`
}

/** False for what this server cannot have made. */
export function looksLikeToken(kind: TokenKind, token: string): boolean {
  const end = token.lastIndexOf('_')
  return (
    token.length <= 512 &&
    token.startsWith(`${prefixes[kind]}_`) &&
    end > 0 &&
    token.slice(end + 1) === checksum(token.slice(0, end))
  )
}

/** What is stored of a token. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

/** Text of so many letters and digits, each as likely as any other. */
export function randomText(length: number, alphabet: string = letters): string {
  let text = ''
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      // A remainder of all bytes would prefer the first letters.
      if (byte < 256 - (256 % alphabet.length) && text.length < length) text += alphabet.charAt(byte % alphabet.length)
    }
  }
  return text
}

function checksum(text: string): string {
  return crc32(text).toString(36).padStart(7, '0')
}
