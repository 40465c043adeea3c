/**
 * Command lines of this project's scripts: options from the command line, else from the environment, else by default, all
 * from one table that the help is printed from too. Pure, but for `complain`.
 */

export interface OptionSpec {
  /** What the value is, for the help. Absent: the option is a switch and takes none. */
  readonly value?: string
  readonly help: string
  /** The environment variable that stands in for it. */
  readonly env?: string
  readonly fallback?: string
  /** Says what is wrong with a value; undefined where nothing is. */
  readonly check?: (value: string) => string | undefined
}

export type OptionTable = Readonly<Record<string, OptionSpec>>

/** What came out: a value by option; options with a default always have one, switches that are given are 'on'. */
export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { readonly fallback: string } ? string : string | undefined
}

export type CommandLine<Table extends OptionTable> =
  | {
      readonly ok: true
      readonly help: false
      readonly options: OptionValues<Table>
      /** Words that belong to no option. */
      readonly words: readonly string[]
    }
  | { readonly ok: true; readonly help: true }
  | { readonly ok: false; readonly message: string }

interface Surroundings {
  readonly env?: Readonly<Record<string, string | undefined>>
  /** How many words without an option may be given. */
  readonly words?: number
}

/** Reads a command line. A wrong one gives a line that says what and why. */
export function parseCommandLine<const Table extends OptionTable>(
  table: Table,
  args: readonly string[],
  surroundings?: Surroundings,
): CommandLine<Table>
export function parseCommandLine(
  table: OptionTable,
  args: readonly string[],
  { env = {}, words: wordsAllowed = 0 }: Surroundings = {},
): CommandLine<OptionTable> {
  const given = new Map<string, string>()
  const words: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--help' || arg === '-h') return { ok: true, help: true }
    if (!arg.startsWith('-')) {
      words.push(arg)
      continue
    }
    const [, name, attached] = /^--([a-z0-9-]+)(?:=(.*))?$/s.exec(arg) ?? []
    const spec = name === undefined ? undefined : specOf(table, name)
    if (name === undefined || !spec) return wrong(`unknown option ${arg}; --help lists them`)
    if (given.has(name)) return wrong(`--${name} is given twice`)
    if (spec.value === undefined) {
      if (attached !== undefined) return wrong(`--${name} takes no value`)
      given.set(name, 'on')
      continue
    }
    const value = attached ?? args[++i]
    if (value === undefined || value === '') return wrong(`--${name} needs a value: ${spec.value}`)
    given.set(name, value)
  }
  if (words.length > wordsAllowed) return wrong(`unexpected ${JSON.stringify(words[wordsAllowed])}; --help explains`)

  const options: Record<string, string> = {}
  for (const [name, spec] of Object.entries(table)) {
    const value = given.get(name) ?? (spec.env && env[spec.env] ? env[spec.env] : spec.fallback)
    if (value === undefined) continue
    const complaint = spec.check?.(value)
    if (complaint) return wrong(`${given.has(name) ? `--${name}` : spec.env} ${complaint}: ${JSON.stringify(value)}`)
    options[name] = value
  }
  return { ok: true, help: false, options, words }
}

/** The options of a table as lines of help. */
export function describeOptions(table: OptionTable): string {
  return Object.entries(table)
    .map(([name, { value, help, env, fallback }]) => {
      const notes = [fallback === undefined ? '' : `default: ${fallback}`, env ?? ''].filter(Boolean).join('; ')
      return `  --${name}${value === undefined ? '' : ` ${value}`}${notes && `   [${notes}]`}\n      ${help}`
    })
    .join('\n')
}

/** A check that a value is one of some words. */
export const oneOf =
  (...choices: string[]) =>
  (value: string): string | undefined =>
    choices.includes(value) ? undefined : `must be one of ${choices.join(', ')}`

/** A check that a value is a port that can be listened on. */
export function isPort(value: string): string | undefined {
  return /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65535
    ? undefined
    : 'must be a port from 1 to 65535'
}

/** A check that a value is the base URL of a server: no query, no credentials. */
export function isBaseUrl(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const fits = url && /^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username && !url.password
  return fits ? undefined : 'must be a URL such as https://matrix.example.org'
}

/** Ends the process with one line for the person at the terminal. */
export function complain(message: string): never {
  console.error(`hearth: ${message}`)
  process.exit(2)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function specOf(table: OptionTable, name: string): OptionSpec | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

function wrong(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message }
}
