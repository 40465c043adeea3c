/** Signatures against the examples that AWS publishes ("Signature Calculations for the Authorization Header"). */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { bucketStore, signed } from '../../scripts/backup/s3.ts'
import { type Bucket, startBucket } from './bucket.ts'

const example = {
  endpoint: new URL('https://examplebucket.s3.amazonaws.com'),
  region: 'us-east-1',
  id: 'AKIAIOSFODNN7EXAMPLE',
  secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}
const then = new Date('2013-05-24T00:00:00Z')
const hash = createHash('sha256').update('').digest('hex')

test.each([
  ['lifecycle=', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
  ['max-keys=2&prefix=J', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
])('GET /?%s is signed as in the example', (search, signature) => {
  const headers = signed(example, { method: 'GET', target: '/', search, hash }, then)
  expect(headers['authorization']).toBe(
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
      `SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${signature}`,
  )
})

let bucket: Bucket
beforeAll(async () => {
  bucket = await startBucket('cellar')
})
afterAll(() => bucket.close())

test('files go in and come back, and are listed over pages', async () => {
  const store = bucketStore('s3://cellar/backups/today/', bucket.env)
  for (const name of ['a', 'b/c', 'b/d', 'b/e=_-.f']) await store.put(name, [Buffer.from(`this is ${name}`)])
  expect(await store.list('b')).toEqual(
    new Map([
      ['b/c', 11],
      ['b/d', 11],
      ['b/e=_-.f', 16],
    ]),
  )
  const stream = await store.read('b/c')
  const chunks: Buffer[] = []
  for await (const chunk of stream ?? []) chunks.push(Buffer.from(chunk))
  expect(Buffer.concat(chunks).toString()).toBe('this is b/c')
  expect(await store.read('nothing')).toBeUndefined()
  expect([...bucket.files.keys()]).toContain('backups/today/b/e=_-.f')
  expect(bucket.refused).toEqual([])
})

test('what fails half-way leaves nothing', async () => {
  const store = bucketStore('s3://cellar', bucket.env)
  const broken = (function* () {
    yield Buffer.from('half')
    throw new Error('cut off')
  })()
  await expect(store.put('half', broken)).rejects.toThrow('cut off')
  expect(await store.read('half')).toBeUndefined()
})

test('each fault is one sentence with a way on', async () => {
  const { env } = bucket
  expect(() => bucketStore('s3:///x', env)).toThrow('names no bucket')
  expect(() => bucketStore('s3://cellar', {})).toThrow('AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY')
  const wrongKey = bucketStore('s3://cellar', { ...env, AWS_SECRET_ACCESS_KEY: 'another' })
  await expect(wrongKey.list('b')).rejects.toThrow(/may not be used with this key: the signature does not fit\n {2}→/)
  await expect(bucketStore('s3://attic', env).list('b')).rejects.toThrow('there is no such bucket')
  await expect(bucketStore('s3://cellar', env).put('../up', [])).rejects.toThrow('which is none of ours')
})
