/** `npm run register -- NAME`: makes an account at the server on this machine, or at another one. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import {
  complain,
  describeOptions,
  isBaseUrl,
  messageOf,
  type OptionSpec,
  type OptionValues,
  parseCommandLine,
} from './command-line.ts'
import { firstAccountLink } from './register/first-account-link.ts'
import { readPassword } from './register/read-password.ts'
import { registerAsClient, registerWithSecret } from './register/register-account.ts'
import { secretIn } from './serve/data-folder.ts'

const table = {
  admin: { help: 'make it an administrator of the server; needs the shared secret' },
  link: { help: 'make no account, but a one-time link by which the administrator makes theirs in a browser' },
  password: { value: 'PASSWORD', help: 'asked for, or read from the input, unless given' },
  url: {
    value: 'URL',
    help: 'where the server is; the secret of one on this machine is taken from --data',
    fallback: 'http://127.0.0.1:8008',
    check: isBaseUrl,
  },
  data: { value: 'FOLDER', help: 'data folder of the server on this machine', fallback: 'data', env: 'DATA_DIR' },
  secret: {
    value: 'SECRET',
    help: 'registration shared secret of the server',
    env: 'REGISTRATION_SHARED_SECRET',
  },
  token: { value: 'TOKEN', help: 'registration token, where the server wants one' },
} satisfies Record<string, OptionSpec>

const help = `Makes an account.

  npm run register -- alice
  npm run register -- alice --admin
  npm run register -- --link
  npm run register -- alice --url https://matrix.example.org

${describeOptions(table)}
`

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env, words: 1 })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else await main(line.options, line.words[0])

async function main(options: OptionValues<typeof table>, name: string | undefined): Promise<void> {
  if (options.link === 'on') return printLink(options)
  if (name === undefined) return complain('who? npm run register -- NAME; --help explains')
  // @alice:example.org is what people have at hand; the server knows its own name.
  const username = name.replace(/^@/, '').replace(/:.*$/s, '')
  const { url, secret } = serverOf(options)
  const admin = options.admin === 'on'
  if (admin && secret === undefined) return complain('--admin needs --secret or the data folder of a server here')
  const password = options.password ?? (await readPassword())
  if (password === undefined) return complain('no password, or two different ones')
  const account = { username, password, admin }
  try {
    const outcome =
      secret === undefined || options.token !== undefined
        ? await registerAsClient(url, account, options.token)
        : await registerWithSecret(url, secret, account)
    if (!outcome.ok) return complain(outcome.message)
    console.log(`${outcome.userId} is there${admin ? ', as administrator' : ''}: sign in at ${url}`)
  } catch (error) {
    complainOfSilence(url, error)
  }
}

async function printLink(options: OptionValues<typeof table>): Promise<void> {
  const { url, secret } = serverOf(options)
  if (secret === undefined) return complain('--link needs --secret or the data folder of a server here')
  try {
    const outcome = await firstAccountLink(url, secret)
    if (outcome.ok) {
      return console.log(`Good once, until ${new Date(outcome.expiresAt).toLocaleString()}:\n  ${outcome.link}`)
    }
    if (outcome.reason === 'has_admin') {
      return complain('the server has an administrator already; npm run register -- NAME --admin makes another one')
    }
    complain(outcome.message)
  } catch (error) {
    complainOfSilence(url, error)
  }
}

function serverOf(options: OptionValues<typeof table>): { url: string; secret: string | undefined } {
  const url = options.url.replace(/\/+$/, '')
  const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname)
  return { url, secret: options.secret ?? (isHere ? secretOnDisk(options.data) : undefined) }
}

function complainOfSilence(url: string, error: unknown): never {
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
  return complain(`${url} does not answer: ${cause}`)
}

function secretOnDisk(folder: string): string | undefined {
  try {
    return readFileSync(secretIn(resolve(folder)), 'utf8').trim()
  } catch {
    return undefined
  }
}
