/** `npm run doctor -- example.org`: looks at a homeserver as clients and other servers do. Exit code 1 where something is wrong. */
import { complain, describeOptions, isBaseUrl, messageOf, type OptionSpec, parseCommandLine } from './command-line.ts'
import { doctorLines } from './doctor/report.ts'
import { realSurroundings } from './doctor/surroundings.ts'

const table = {
  'base-url': { value: 'URL', help: 'client API to look at where no well-known file names one', check: isBaseUrl },
  token: {
    value: 'TOKEN',
    help: 'access token of an administrator: database, media, objects and mail are looked at, too',
    env: 'HEARTH_TOKEN',
  },
  ca: { value: 'FILE', help: 'certificate authorities to trust on top of the usual ones, PEM', env: 'CA_CERT' },
  'connect-to': {
    value: 'HOST:PORT=ADDRESS:PORT,…',
    help: 'connect there instead, before the DNS is set up',
    check: (value) =>
      value.split(',').every((pair) => /^[^=:]+:\d+=[^=:]+:\d+$/.test(pair)) ? undefined : 'must be pairs',
  },
} satisfies Record<string, OptionSpec>

const help = `Looks at a homeserver as clients and other servers do; says what is wrong, and the next step.

  npm run doctor -- example.org

${describeOptions(table)}

Exit code: 0 all is well, 1 something is wrong, 2 it could not look.
`

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env, words: 1 })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else {
  const [name] = line.words
  if (name === undefined) complain('which server? npm run doctor -- example.org')
  const { ca, 'connect-to': pairs, 'base-url': base, token } = line.options
  const connectTo = new Map(
    (pairs?.split(',') ?? []).map((pair): [string, string] => {
      const [from = '', to = ''] = pair.split('=')
      return [from, to]
    }),
  )
  try {
    const { lines, well } = await doctorLines(name, realSurroundings({ ca, connectTo }), {
      baseUrl: base?.replace(/\/+$/, ''),
      token,
    })
    for (const text of lines) console.log(text)
    process.exitCode = well ? 0 : 1
  } catch (error) {
    complain(messageOf(error))
  }
}
