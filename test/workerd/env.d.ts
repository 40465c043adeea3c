/** What `import { env, exports } from 'cloudflare:workers'` holds in these tests: the bindings and the Worker itself. */
import type { Env as Bindings } from '../../worker/env.ts'
import type * as main from '../../worker/index.ts'

declare global {
  namespace Cloudflare {
    interface Env extends Bindings {}
    interface GlobalProps {
      mainModule: typeof main
    }
  }
}
