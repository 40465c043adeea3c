/**
 * Counts what Cloudflare would bill: requests to objects, rows, queries, operations on the bucket. Local runs only.
 *
 * The platform's own classes are wrapped, once in the life of an isolate and only where `METER` is on. So no caller knows of
 * it, the count misses nobody, and where it is off it costs one comparison a request. Locally the Worker and all objects
 * share one isolate, and therefore these counters.
 *
 * Prices: developers.cloudflare.com, /workers/platform/pricing, /durable-objects/platform/pricing, /d1/platform/pricing,
 * /r2/pricing.
 */
export const units = {
  worker_requests: 0,
  /** Calls and fetches that reach an object, and alarms. */
  object_requests: 0,
  /** How long callers waited for objects: no less than the objects' time, which Cloudflare bills. */
  object_ms: 0,
  object_rows_read: 0,
  object_rows_written: 0,
  d1_queries: 0,
  d1_rows_read: 0,
  d1_rows_written: 0,
  /** Writes and lists. */
  r2_class_a: 0,
  /** Reads. */
  r2_class_b: 0,
}
export type Units = Readonly<typeof units>
type Unit = keyof typeof units

/** The bindings that cost. The part of them that is named here is all that this file needs to know. */
interface Metered {
  readonly METER?: string
  readonly ROOM: object
  readonly MEDIA: object
  readonly DB: { withSession(): object }
}

let isOn = false
const wrapped = new WeakSet<object>()

/** Begins to count where the setting says so. For the Worker's entry, at each request. */
export function meter(env: Metered): void {
  if (env.METER !== 'on') return
  units.worker_requests += 1
  if (isOn) return
  isOn = true
  wrap(env.ROOM, 'get', (run) => counted(run()))
  wrap(env.DB.withSession(), '_sendOrThrow', async (run) => {
    const results = await run()
    for (const result of Array.isArray(results) ? results : [results]) {
      const meta = field(result, 'meta')
      units.d1_queries += 1
      add('d1_rows_read', field(meta, 'rows_read'))
      add('d1_rows_written', field(meta, 'rows_written'))
    }
    return results
  })
  for (const method of ['put', 'list']) countCalls(env.MEDIA, method, 'r2_class_a')
  wrap(env.MEDIA, 'createMultipartUpload', async (run) => {
    units.r2_class_a += 1
    const upload = await run()
    // Each part is billed, and that they are put together; to give up is free.
    if (typeof upload !== 'object' || upload === null) return upload
    for (const method of ['uploadPart', 'complete']) countCalls(upload, method, 'r2_class_a')
    return upload
  })
  for (const method of ['get', 'head']) countCalls(env.MEDIA, method, 'r2_class_b')
}

/** The same for an object's rows and alarms, when it opens its storage. */
export function meterStorage(storage: object): void {
  if (!isOn || !('sql' in storage) || typeof storage.sql !== 'object' || storage.sql === null) return
  countCalls(storage, 'setAlarm', 'object_rows_written')
  wrap(storage.sql, 'exec', (run) => {
    const cursor = run()
    if (typeof cursor !== 'object' || cursor === null) return cursor
    // Rows are read as the cursor is; what was counted of it already is kept beside it.
    for (const method of ['toArray', 'one', 'next']) wrap(cursor, method, (read, of) => settled(of, read))
    wrap(cursor, Symbol.iterator, (iterate, of) => {
      const iterator = iterate()
      if (typeof iterator !== 'object' || iterator === null) return iterator
      cursors.set(iterator, of)
      wrap(iterator, 'next', (read, self) => settled(cursors.get(self) ?? self, read))
      return iterator
    })
    settle(cursor)
    return cursor
  })
}

/** Where a loop over a cursor reads from. */
const cursors = new WeakMap<object, object>()

/** An alarm rang, which is billed as a request. */
export function meterAlarm(): void {
  if (isOn) units.object_requests += 1
}

const soFar = new WeakMap<object, { read: number; written: number }>()

function settled(cursor: object, read: () => unknown): unknown {
  try {
    return read()
  } finally {
    settle(cursor)
  }
}

function settle(cursor: object): void {
  const [read, written] = [Number(field(cursor, 'rowsRead') ?? 0), Number(field(cursor, 'rowsWritten') ?? 0)]
  const before = soFar.get(cursor) ?? { read: 0, written: 0 }
  units.object_rows_read += read - before.read
  units.object_rows_written += written - before.written
  soFar.set(cursor, { read, written })
}

/** A stub whose calls are counted. */
function counted(stub: unknown): unknown {
  if (typeof stub !== 'object' || stub === null) return stub
  return new Proxy(stub, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target)
      if (typeof method !== 'function') return method
      return (...args: unknown[]) => {
        units.object_requests += 1
        const begun = Date.now()
        const answer: unknown = Reflect.apply(method, target, args)
        const note = () => void (units.object_ms += Date.now() - begun)
        if (answer instanceof Promise) answer.then(note, note)
        return answer
      }
    },
  })
}

function countCalls(object: object, method: string, unit: Unit): void {
  wrap(object, method, (run) => {
    units[unit] += 1
    return run()
  })
}

/** Puts `around` about a method of an object's class, once. */
function wrap(object: object, method: string | symbol, around: (run: () => unknown, self: object) => unknown): void {
  const owner = Reflect.getPrototypeOf(object)
  const original: unknown = owner && Reflect.get(owner, method, object)
  if (!owner || typeof original !== 'function' || wrapped.has(original)) return
  const replacement = function (this: object, ...args: unknown[]): unknown {
    return around(() => Reflect.apply(original, this, args), this)
  }
  wrapped.add(replacement)
  Reflect.defineProperty(owner, method, { value: replacement, configurable: true, writable: true })
}

function add(unit: Unit, count: unknown): void {
  if (typeof count === 'number') units[unit] += count
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
