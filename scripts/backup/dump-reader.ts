/** Reads the compressed lines of a backup, and says whether they are whole. */
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

import { type DumpLine, parseDumpLine } from '../../worker/backup/dump-line.ts'
import { BackupError } from './failure.ts'

/** Somebody wrote while it was read. */
export class ChangedMeanwhile extends Error {}

/** The lines, in order. Throws BackupError where one is missing or damaged, and ChangedMeanwhile. */
export async function* dumpLines(compressed: Readable, what: string): AsyncGenerator<DumpLine, void> {
  let rest = ''
  let rows = 0
  let isWhole = false
  const decoder = new TextDecoder()
  const text = compressed.pipe(createGunzip())
  compressed.once('error', (error) => text.destroy(error))
  try {
    for await (const chunk of text) {
      const pieces = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = pieces.pop() ?? ''
      for (const piece of pieces) {
        const line: DumpLine | undefined = isWhole ? undefined : parseDumpLine(piece)
        if (!line) throw new BackupError(`${what} is damaged`)
        if ('changed' in line) throw new ChangedMeanwhile()
        if ('rows' in line) rows += line.values.length
        if ('end' in line) isWhole = line.end === rows
        yield line
      }
    }
  } catch (error) {
    if (error instanceof BackupError || error instanceof ChangedMeanwhile) throw error
    throw new BackupError(`${what} is damaged: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (rest !== '' || !isWhole) throw new BackupError(`${what} is not whole`)
}
