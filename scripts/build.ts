/** `npm run build`: bundles the Worker for the local runtime into dist/, so that `npm start` need not. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

import { bundleWorker } from './build/bundle.ts'
import { messageOf } from './command-line.ts'

if (process.argv.includes('--help')) {
  console.log(
    'Bundles the Worker into dist/.\n\n  npm run build\n  npm run build -- --force   although nothing has changed\n',
  )
} else {
  try {
    const { modules, built } = await bundleWorker('dist', { force: process.argv.includes('--force') })
    for (const { path } of modules) {
      const bytes = readFileSync(path)
      console.log(`${path}: ${kib(bytes.length)}, ${kib(gzipSync(bytes).length)} gzipped${built ? '' : ', up to date'}`)
    }
  } catch (error) {
    console.error(`hearth: the Worker cannot be bundled: ${messageOf(error)}`)
    process.exit(1)
  }
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(0)} KiB`
}
