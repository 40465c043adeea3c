/**
 * The Worker's bundle for the local runtime: `dist/worker.js` and the .wasm modules it imports, the same code that
 * `wrangler deploy` uploads.
 *
 * A stamp beside it lists every file that went in. While none of them changed, the bundle stands and esbuild, which takes
 * longer to load than the whole check, is not even imported.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

/** A module of the Worker, by its path relative to the project. */
export interface WorkerModule {
  readonly type: 'ESModule' | 'CompiledWasm'
  readonly path: string
}

export interface Bundle {
  /** The entry comes first. */
  readonly modules: readonly WorkerModule[]
  /** False where the bundle on disk was still good. */
  readonly built: boolean
}

interface Stamp {
  readonly recipe: string
  /** Path relative to the project → size and time of change. */
  readonly inputs: Readonly<Record<string, string>>
}

const recipe = {
  entryPoints: { worker: 'worker/index.ts' },
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  mainFields: ['module', 'main'],
  conditions: ['workerd', 'worker', 'import'],
  external: ['cloudflare:*', 'node:*'],
  loader: { '.sql': 'text', '.wasm': 'copy' },
  assetNames: '[name]-[hash]',
  sourcemap: 'linked',
  metafile: true,
  logLevel: 'silent',
} as const

/** Makes the bundle unless the one in `folder` is up to date. Works in the project's folder. Throws with esbuild's message. */
export async function bundleWorker(folder = 'dist', { force = false } = {}): Promise<Bundle> {
  if (!force && isUpToDate(folder)) return { modules: modulesIn(folder), built: false }
  const { build } = await import('esbuild')
  const { metafile, outputFiles } = await build({ ...mutable(recipe), outdir: folder, write: false })
  mkdirSync(folder, { recursive: true })
  for (const { path, contents } of outputFiles) replaceFile(path, contents)
  const fresh = new Set(outputFiles.map(({ path }) => basename(path)))
  for (const stale of wasmIn(folder).filter((name) => !fresh.has(name))) rmSync(join(folder, stale))
  const stamp: Stamp = { recipe: hashOfRecipe(), inputs: stateOf(Object.keys(metafile.inputs)) }
  replaceFile(stampIn(folder), JSON.stringify(stamp))
  return { modules: modulesIn(folder), built: true }
}

/** Others may build or start at the same time: they find the old file or the new one, never half of one. */
function replaceFile(path: string, contents: string | Uint8Array): void {
  const unfinished = `${path}.${process.pid}`
  writeFileSync(unfinished, contents)
  renameSync(unfinished, path)
}

/** The bundle as it lies there, whatever the sources say; undefined where there is none. */
export function prebuiltWorker(folder = 'dist'): Bundle | undefined {
  return existsSync(join(folder, 'worker.js')) ? { modules: modulesIn(folder), built: false } : undefined
}

function modulesIn(folder: string): WorkerModule[] {
  return [
    { type: 'ESModule', path: join(folder, 'worker.js') },
    ...wasmIn(folder).map((name): WorkerModule => ({ type: 'CompiledWasm', path: join(folder, name) })),
  ]
}

function wasmIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.wasm')) : []
}

function isUpToDate(folder: string): boolean {
  const stamp = readStamp(folder)
  if (stamp?.recipe !== hashOfRecipe() || !existsSync(join(folder, 'worker.js'))) return false
  const now = stateOf(Object.keys(stamp.inputs))
  return Object.entries(stamp.inputs).every(([path, state]) => now[path] === state)
}

function readStamp(folder: string): Stamp | undefined {
  try {
    return JSON.parse(readFileSync(stampIn(folder), 'utf8'))
  } catch {
    return undefined
  }
}

function stampIn(folder: string): string {
  return join(folder, 'worker.stamp.json')
}

function stateOf(paths: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    paths.map((path) => {
      const found = statSync(resolve(path), { throwIfNoEntry: false })
      return [path, found ? `${found.size} ${found.mtimeMs}` : 'missing']
    }),
  )
}

/** Other settings, or other versions of the dependencies, are another bundle. */
function hashOfRecipe(): string {
  const versions = readFileSync('package-lock.json')
  return createHash('sha256').update(JSON.stringify(recipe)).update(versions).digest('hex')
}

/** esbuild's types take no readonly lists. */
function mutable(options: typeof recipe) {
  const { mainFields, conditions, external, ...others } = options
  return { ...others, mainFields: [...mainFields], conditions: [...conditions], external: [...external] }
}
