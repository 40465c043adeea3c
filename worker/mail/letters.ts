/**
 * The letters this server writes, as plain text and as small HTML that says the same.
 *
 * A link never stands in a sentence that hides where it goes. Whatever came from a client is escaped.
 */
import { escapeHtml } from '../pages/page.ts'
import type { Letter } from './letter.ts'

interface Words {
  readonly subject: string
  /** Paragraphs; the link, where there is one, stands after the first. */
  readonly paragraphs: readonly string[]
  readonly link?: string
}

export type LetterBody = Omit<Letter, 'to'>

/** Asks whoever reads the address to confirm it for an account that exists. */
export function confirmForAccount(serverName: string, link: string): LetterBody {
  return write({
    subject: `Confirm your e-mail address for ${serverName}`,
    paragraphs: [
      `Somebody asks to add this e-mail address to their Matrix account on ${serverName}. If that was you, confirm it:`,
      'Whoever has this address in their account can be reached by it and can get a new password with it. If it was not you, do nothing: the address is not added.',
    ],
    link,
  })
}

/** Asks whoever reads the address to confirm it for a new account. */
export function confirmForRegistration(serverName: string, link: string): LetterBody {
  return write({
    subject: `Confirm your e-mail address for ${serverName}`,
    paragraphs: [
      `Somebody makes a Matrix account on ${serverName} with this e-mail address. If that was you, confirm it, then go back to where you began:`,
      'If it was not you, do nothing: no account gets your address.',
    ],
    link,
  })
}

/** Lets whoever reads the address set a new password. */
export function resetPassword(serverName: string, link: string): LetterBody {
  return write({
    subject: `A new password for ${serverName}`,
    paragraphs: [
      `Somebody asks for a new password for the Matrix account on ${serverName} that has this e-mail address. If that was you, confirm it, then go back to where you began:`,
      'If it was not you, do nothing: the password stays as it is.',
    ],
    link,
  })
}

/** Tells whoever reads an address that an account has it already. Spec: POST /register/email/requestToken. */
export function addressInUse(serverName: string): LetterBody {
  return write({
    subject: `Your e-mail address and ${serverName}`,
    paragraphs: [
      `Somebody wanted to use this e-mail address for a Matrix account on ${serverName}. It belongs to an account there already.`,
      'If that was you and you cannot get in any more, ask for a new password in your client. If it was not you, do nothing.',
    ],
  })
}

function write({ subject, paragraphs: [first = '', ...rest], link }: Words): LetterBody {
  const lines = [first, ...(link === undefined ? [] : [link]), ...rest]
  const button =
    link === undefined
      ? ''
      : `<p><a href="${escapeHtml(link)}" style="display:inline-block;padding:12px 20px;background:#0b57d0;color:#fff;` +
        `text-decoration:none;border-radius:6px">Confirm</a></p><p style="font-size:13px">${escapeHtml(link)}</p>`
  const paragraph = (text: string) => `<p>${escapeHtml(text)}</p>`
  return {
    subject,
    text: `${lines.join('\n\n')}\n`,
    html:
      '<!doctype html><html lang="en"><body style="font:16px/1.5 sans-serif;max-width:36em;margin:1em">' +
      `${paragraph(first)}${button}${rest.map(paragraph).join('')}</body></html>`,
  }
}
