/** Bundles the Worker for the local runtime: `dist/worker.js`, the same modules that `wrangler deploy` uploads. */
import { build } from 'esbuild'

/** Builds and returns the bundle's path. */
export async function buildWorker(outfile = 'dist/worker.js'): Promise<string> {
  await build({
    entryPoints: ['worker/index.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'import'],
    external: ['cloudflare:*', 'node:*', '*.wasm'],
    loader: { '.sql': 'text' },
    sourcemap: 'linked',
    logLevel: 'warning',
  })
  return outfile
}
