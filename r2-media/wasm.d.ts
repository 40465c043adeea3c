/** Modules of WebAssembly, compiled by whoever bundles; and the factories of the codecs, of which we say what we use. */
declare module '*.wasm' {
  const code: WebAssembly.Module
  export default code
}
