/** Asks for a password: on a terminal without showing it, twice; otherwise the first line of the input. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** The password, or undefined where the two differ or there is none. */
export async function readPassword(): Promise<string | undefined> {
  if (!process.stdin.isTTY) return (await ask(false, '')) || undefined
  const first = await ask(true, 'Password: ')
  const second = first && (await ask(true, 'Once more: '))
  return first !== '' && first === second ? first : undefined
}

async function ask(hidden: boolean, question: string): Promise<string> {
  process.stderr.write(question)
  // readline echoes what is typed to its output; this one swallows it.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output, terminal: hidden })
  try {
    return await new Promise<string>((answer) => {
      lines.once('line', answer)
      lines.once('close', () => answer(''))
      lines.once('SIGINT', () => process.exit(130))
    })
  } finally {
    lines.close()
    if (hidden) process.stderr.write('\n')
  }
}
