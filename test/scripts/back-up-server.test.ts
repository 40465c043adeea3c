/** The course of a backup against a server that is played: what is busy is read again, what is damaged is never kept. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'

import { backUpServer } from '../../scripts/backup/back-up-server.ts'
import { type ServerApi, serverApi } from '../../scripts/backup/server-api.ts'
import { folderStore } from '../../scripts/backup/store.ts'
import { freePort } from '../../scripts/serve/start-in-background.ts'
import { isObject } from '../../worker/protocol/json/json.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
afterAll(() => rmSync(folder, { recursive: true }))
const impatient = { tries: 3, wait: 1 }
const quiet = { at: () => undefined, done: () => undefined }

const head = '{"object":"ROOM","name":"x","format":1}\n{"table":"t","sql":"CREATE TABLE t(a)"}\n'
const whole = gzipSync(`${head}{"rows":"t","columns":["a"],"values":[[1],["two"]]}\n{"end":2}\n`)
const busy = Buffer.concat([gzipSync(head), gzipSync('{"changed":true}\n')])

/** A server of one user and no room; `object` answers for each thing that is read. */
function played(object: () => Buffer, media: Record<string, unknown>[] = []): ServerApi {
  const answers: Record<string, object> = {
    backup: { server_name: 'played.example', migrations: [] },
    'backup/names': { names: ['@a:played.example'], more: false },
    'backup/media-list': { media },
  }
  const get = (path: string) =>
    Promise.resolve(new Response(path === 'backup/media' ? 'bytes' : new Uint8Array(object())))
  return {
    url: 'http://played',
    get,
    find: get,
    async json(path) {
      const answer = answers[path]
      return isObject(answer) ? answer : {}
    },
    send: () => Promise.reject(new Error('a backup sends nothing')),
  }
}

test('who was busy is read again, until it was quiet for a moment', async () => {
  const answers = [busy, busy, whole]
  const store = folderStore(join(folder, 'busy'))
  const summary = await backUpServer(
    played(() => answers.shift() ?? whole),
    store,
    quiet,
    impatient,
  )
  expect(summary).toMatchObject({ users: 1, rows: 2 })
})

test.each([
  [
    'always busy',
    busy,
    /is large, and something is written there all the time\n {2}→ the same command again, at a quieter time/,
  ],
  ['cut off', whole.subarray(0, -12), /damaged|not whole/],
  ['with fewer rows than it says', gzipSync(`${head}{"end":2}\n`), /is not whole/],
  ['no lines', gzipSync('<html>\n'), /is damaged/],
  ['not compressed', Buffer.from(head), /is damaged/],
])('%s: a sentence, and nothing of it is kept', async (what, answer, sentence) => {
  const name = what.replaceAll(' ', '-')
  const running = backUpServer(
    played(() => answer),
    folderStore(join(folder, name)),
    quiet,
    impatient,
  )
  await expect(running).rejects.toThrow(sentence)
  const kept = readdirSync(join(folder, name), { recursive: true }).map(String)
  expect(kept.filter((path) => path.endsWith('.gz') || path.endsWith('.part'))).toEqual([])
  expect(kept).not.toContain('finished.json')
})

test.each([
  ['too short', [{ key: 'local/a', size: 6 }], 'came with 5 bytes of 6'],
  ['a name that leads elsewhere', [{ key: '../../x', size: 5 }], 'which is none of ours'],
])('a file %s is not kept', async (what, media, sentence) => {
  const name = what.replaceAll(' ', '-')
  await expect(
    backUpServer(
      played(() => whole, media),
      folderStore(join(folder, name)),
      quiet,
      impatient,
    ),
  ).rejects.toThrow(sentence)
  const kept = readdirSync(join(folder, name), { recursive: true }).map(String)
  expect(kept.filter((path) => path.startsWith('media/local/'))).toEqual([])
})

test('a folder that holds the backup of another server is not touched', async () => {
  const store = folderStore(join(folder, 'other'))
  await backUpServer(
    played(() => whole),
    store,
    quiet,
    impatient,
  )
  const other = { ...played(() => whole), json: () => Promise.resolve({ server_name: 'other.example' }) }
  await expect(backUpServer(other, store, quiet, impatient)).rejects.toThrow(
    /holds a backup of played\.example\n {2}→ give another --out/,
  )
})

test('a server that does not answer: why, and that the same command goes on', async () => {
  const silent = serverApi(`http://127.0.0.1:${await freePort()}`, 'a secret', 1)
  const running = backUpServer(silent, folderStore(join(folder, 'silent')), quiet, impatient)
  await expect(running).rejects.toThrow(/ does not answer: .*ECONNREFUSED.*\n {2}→ the same command again goes on/)
})
