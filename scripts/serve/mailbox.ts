/**
 * The mailbox of a local run: each letter that the server sends is a file in the folder `mailbox` of the data folder.
 *
 * Only the runtime that this process started can reach it: nothing listens for it.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Response } from 'miniflare'

interface Letter {
  readonly from: string
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly unsubscribe?: unknown
}

/** Takes letters for a data folder. */
export function mailbox(data: string) {
  return async (request: { json(): Promise<unknown> }): Promise<Response> => {
    const letter = await request.json()
    if (!isLetter(letter)) return new Response(null, { status: 400 })
    const folder = join(data, 'mailbox')
    mkdirSync(folder, { recursive: true })
    // A letter may open an account.
    writeFileSync(
      join(folder, `${new Date().toISOString().replaceAll(':', '-')}-${randomUUID()}.txt`),
      written(letter),
      {
        flag: 'wx',
        mode: 0o600,
      },
    )
    return new Response(null)
  }
}

function written({ from, to, subject, text, unsubscribe }: Letter): string {
  const ended = typeof unsubscribe === 'string' ? `List-Unsubscribe: <${unsubscribe}>\n` : ''
  return `From: ${from}\nTo: ${to}\nSubject: ${subject}\n${ended}\n${text}`
}

function isLetter(value: unknown): value is Letter {
  if (typeof value !== 'object' || value === null) return false
  const fields: Readonly<Record<string, unknown>> = { ...value }
  return ['from', 'to', 'subject', 'text'].every((name) => typeof fields[name] === 'string')
}
