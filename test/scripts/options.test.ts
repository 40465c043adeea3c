import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

import { parseOptions, type ServeOptions } from '../../scripts/serve/options.ts'
import { compatibility, objects } from '../../scripts/serve/runtime.ts'

function optionsOf(args: string[], env: Record<string, string> = {}): ServeOptions {
  const parsed = parseOptions(args, env, '/srv/hearth')
  if (!parsed.ok || 'help' in parsed) throw new Error(JSON.stringify(parsed))
  return parsed.options
}

describe('what npm start takes', () => {
  test('nothing at all is enough: a server for this machine alone', () => {
    expect(optionsOf([])).toEqual({
      serverName: 'localhost',
      bind: '127.0.0.1',
      port: 8008,
      federation: undefined,
      ca: undefined,
      data: '/srv/hearth/data',
      publicUrl: 'http://127.0.0.1:8008',
      registration: 'open',
      registrationSharedSecret: undefined,
      rateLimits: 'on',
      maxUploadMb: '50',
      defaultRoomVersion: '12',
      publicRoomsOverFederation: 'off',
      allowPrivateAddresses: 'off',
      clientAddressHeader: 'none',
      dnsOverHttps: 'off',
      logLevel: 'info',
      variables: {},
      prebuilt: false,
    })
  })

  test('an option wins over the environment, the environment over the default', () => {
    expect(optionsOf([], { CS_PORT: '9000' }).port).toBe(9000)
    expect(optionsOf(['--port', '9001'], { CS_PORT: '9000' }).port).toBe(9001)
    expect(optionsOf(['--port=9002'], { CS_PORT: '9000' }).port).toBe(9002)
  })

  test('what only the Worker looks at gets there', () => {
    const on = { DEVICE_NAMES_OVER_FEDERATION: 'on', PRESENCE: 'on' }
    expect(optionsOf([], on).variables).toEqual(on)
    expect(optionsOf(['--device-names-over-federation', 'off']).variables).toEqual({
      DEVICE_NAMES_OVER_FEDERATION: 'off',
    })
  })

  test('an empty environment variable counts as none', () => {
    expect(optionsOf([], { CS_PORT: '', REGISTRATION: '' })).toMatchObject({ port: 8008, registration: 'open' })
  })

  test('paths start from the folder where the command was given', () => {
    const tls = ['--federation-port', '8448', '--tls-cert', 'a.pem', '--tls-key', '/etc/b.pem']
    expect(optionsOf(['--data', '../elsewhere', '--ca', 'ca.pem', ...tls])).toMatchObject({
      data: '/srv/elsewhere',
      ca: '/srv/hearth/ca.pem',
      federation: { port: 8448, cert: '/srv/hearth/a.pem', key: '/etc/b.pem' },
    })
  })

  test('the address of the server follows from where it listens, unless told', () => {
    expect(optionsOf(['--bind', '::1', '--port', '80']).publicUrl).toBe('http://[::1]:80')
    expect(optionsOf(['--public-url', 'https://example.org']).publicUrl).toBe('https://example.org')
  })

  test('--help names every option', () => {
    const parsed = parseOptions(['--help'], {}, '/')
    expect(parsed).toMatchObject({ ok: true, help: expect.stringContaining('--allow-private-addresses') })
  })
})

const wrong: [args: string[], env: Record<string, string>, message: string][] = [
  [['--prot', '80'], {}, 'unknown option --prot'],
  [['-p', '80'], {}, 'unknown option -p'],
  [['--__proto__', '80'], {}, 'unknown option --__proto__'],
  [['--constructor', '80'], {}, 'unknown option --constructor'],
  [['start'], {}, 'unexpected "start"'],
  [['--port'], {}, '--port needs a value: PORT'],
  [['--port='], {}, '--port needs a value: PORT'],
  [['--port', '80', '--port', '81'], {}, '--port is given twice'],
  [['--prebuilt=yes'], {}, '--prebuilt takes no value'],
  [['--port', '0'], {}, '--port must be a port from 1 to 65535: "0"'],
  [['--port', '65536'], {}, '--port must be a port from 1 to 65535: "65536"'],
  [['--port', '80a'], {}, '--port must be a port from 1 to 65535: "80a"'],
  [[], { CS_PORT: 'http' }, 'CS_PORT must be a port from 1 to 65535: "http"'],
  [['--server-name', 'not a name'], {}, '--server-name is not a Matrix server name, such as example.org: "not a name"'],
  [['--bind', 'http://127.0.0.1'], {}, '--bind is not an address, such as 127.0.0.1: "http://127.0.0.1"'],
  [['--public-url', 'example.org'], {}, '--public-url must be a URL'],
  [['--public-url', 'https://me:secret@example.org'], {}, '--public-url must be a URL'],
  [['--registration', 'yes'], {}, '--registration must be one of open, token, closed: "yes"'],
  [['--rate-limits', 'ON'], {}, '--rate-limits must be one of on, off: "ON"'],
  [['--allow-private-addresses', 'true'], {}, '--allow-private-addresses must be one of on, off: "true"'],
  [['--default-room-version', '13'], {}, '--default-room-version must be a room version from 1 to 12: "13"'],
  [['--max-upload-mb', '0'], {}, '--max-upload-mb must be from 1 to 500: "0"'],
  [['--dns-over-https', 'on'], {}, '--dns-over-https must be a URL'],
  [['--client-address-header', 'X Real IP'], {}, '--client-address-header is not the name of a header'],
  [['--log-level', 'loud'], {}, '--log-level must be one of debug, info, warn, error: "loud"'],
  [['--federation-port', '8448'], {}, '--federation-port, --tls-cert and --tls-key go together'],
  [['--tls-cert', 'a', '--tls-key', 'b'], {}, '--federation-port, --tls-cert and --tls-key go together'],
  [['--tls-cert=a', '--tls-key=b', '--federation-port=8008'], {}, '--port and --federation-port are both 8008'],
]

test.each(wrong)('%j %j is refused', (args, env, message) => {
  const parsed = parseOptions(args, env, '/')
  expect(parsed).toEqual({ ok: false, message: expect.stringContaining(message) })
  expect(parsed).not.toHaveProperty('message', expect.stringContaining('\n'))
})

test('the local runtime has the dates, flags and objects of wrangler.toml', () => {
  const toml = readFileSync('wrangler.toml', 'utf8')
  const classes = [...toml.matchAll(/^name = "(\w+)"\nclass_name = "(\w+)"$/gm)].map(([, name, its]) => [name, its])
  expect(Object.fromEntries(classes)).toEqual(objects)
  expect(toml).toContain(`compatibility_date = "${compatibility.date}"`)
  expect(toml).toContain(`compatibility_flags = ${JSON.stringify(compatibility.flags)}`)
})
