/**
 * Sending mail, whoever carries it: Cloudflare's Email binding, any HTTP API that takes JSON, or a mailbox folder on the
 * machine of a local run.
 *
 * What is sent may hold a secret (a link that proves who reads it), so a letter is never logged.
 */
import type { EmailCarrier, Env } from '../env.ts'
import { settingsOf } from '../settings.ts'
import { httpMailer } from './http-mail.ts'
import { type Letter, unsubscribeHeaders } from './letter.ts'

/** Resolves to false when the carrier did not take the letter. Never throws. */
export type Mailer = (letter: Letter) => Promise<boolean>

/** Milliseconds in which a carrier must have taken a letter. */
const patience = 15_000

/** Who carries mail for this server; undefined where nobody does. */
export function mailerOf(env: Env): Mailer | undefined {
  const { mail } = settingsOf(env)
  if (!mail) return undefined
  const { from } = mail
  const { EMAIL: binding, MAILBOX: mailbox } = env
  if (mail.api) return careful(httpMailer(from, mail.api))
  if (binding) return careful((letter) => bind(binding, from, letter))
  if (mailbox) return careful((letter) => drop(mailbox, from, letter))
  return undefined
}

/** The binding takes name and address apart. */
function senderOf(from: string): string | { readonly email: string; readonly name: string } {
  const named = /^(.*) <(.+)>$/.exec(from)
  return named ? { email: named[2] ?? '', name: named[1] ?? '' } : from.replace(/[<>]/g, '')
}

/** A carrier that fails, or does not answer, did not take it: the reason is for the owner's log. */
function careful(carry: (letter: Letter, signal: AbortSignal) => Promise<void>): Mailer {
  return async (letter) => {
    const ending = new AbortController()
    const { signal } = ending
    // A timer that nobody clears would keep a Durable Object from sleeping.
    const timer = setTimeout(() => ending.abort(), patience)
    try {
      await Promise.race([carry(letter, signal), ended(signal)])
      return true
    } catch (error) {
      console.error('mail was not sent:', error instanceof Error ? error.message : 'unknown error')
      return false
    } finally {
      clearTimeout(timer)
    }
  }
}

async function bind(carrier: EmailCarrier, from: string, { unsubscribe, ...letter }: Letter): Promise<void> {
  const headers = unsubscribe === undefined ? {} : { headers: unsubscribeHeaders(unsubscribe) }
  await carrier.send({ from: senderOf(from), ...letter, ...headers })
}

async function drop(mailbox: Fetcher, from: string, letter: Letter): Promise<void> {
  const answer = await mailbox.fetch('http://mailbox/', { method: 'POST', body: JSON.stringify({ from, ...letter }) })
  if (!answer.ok) throw new Error(`the mailbox answers ${answer.status}`)
}

async function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the carrier does not answer')))
  })
}
