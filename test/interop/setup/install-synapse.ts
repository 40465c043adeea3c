/**
 * Synapse, the foreign server of the interop suite, in a virtual environment of its own below `.venv`. Installed once per
 * version, by pip from whatever index the machine is set to; a half installation is thrown away.
 */
import { execFile } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const version = '1.163.2'

const run = promisify(execFile)
const folder = join(import.meta.dirname, '../../../.venv', `synapse-${version}`)
const finished = join(folder, 'finished')

/** The Python that can run `-m synapse.app.homeserver`. Throws one clear sentence where it cannot be had. */
export async function installSynapse(): Promise<string> {
  const python = join(folder, 'bin/python')
  if (existsSync(finished)) return python
  rmSync(folder, { recursive: true, force: true })
  console.log(`Installing Synapse ${version} into ${folder} (once; takes about half a minute) ...`)
  const system = await pythonOfTheSystem()
  await attempt(
    system,
    ['-m', 'venv', folder],
    'Python cannot make a virtual environment (Debian: apt install python3-venv)',
  )
  await attempt(python, ['-m', 'pip', 'install', '--quiet', `matrix-synapse==${version}`], 'pip cannot install Synapse')
  writeFileSync(finished, '')
  return python
}

async function pythonOfTheSystem(): Promise<string> {
  for (const name of ['python3', 'python']) {
    const found = await run(name, ['-c', 'import sys; print(sys.version_info >= (3, 10))']).catch(() => undefined)
    if (found?.stdout.trim() === 'True') return name
  }
  throw new Error('The interop suite needs Python 3.10 or newer with venv and pip, and there is none')
}

async function attempt(program: string, args: readonly string[], failure: string): Promise<void> {
  await run(program, args).catch((error: unknown) => {
    throw new Error(`${failure}: ${String(error)}`, { cause: error })
  })
}
