/** The style of the front page: one column for phones and desktops, light and dark as the reader has it. */
export const frontStyle = `
:root{color-scheme:light dark;--ground:#faf7f3;--card:#fff;--text:#26211c;--quiet:#6a5f55;--line:#e4dcd2;--warm:#b3450f;--warm-text:#fff;--bad:#b00020}
@media(prefers-color-scheme:dark){:root{--ground:#191614;--card:#231f1c;--text:#efe9e2;--quiet:#b0a499;--line:#3b342e;--warm:#f08a4b;--warm-text:#201306;--bad:#ff8a8a}}
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
header,main{max-width:44rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem;padding-bottom:.5rem}
main{padding-bottom:1.5rem}
h1{font-size:clamp(1.6rem,6vw,2.25rem);line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:0 0 .75rem}
h2:focus{outline:none}
p{margin:0 0 .75rem}
header p{font-size:1.1rem;color:var(--quiet);max-width:36rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.25rem 1.25rem .75rem;margin:0 0 1.25rem}
a{color:var(--warm)}
code,kbd{font:.9em ui-monospace,"DejaVu Sans Mono",monospace;background:var(--ground);border:1px solid var(--line);border-radius:.3rem;padding:.1rem .3rem}
.big{display:inline-block;font-size:1.1rem;font-weight:600;padding:.4rem .7rem}
pre{margin:0 0 .75rem;white-space:pre-wrap}
pre code{display:block;padding:.6rem .75rem}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.4rem 1.25rem;margin:0 0 .5rem}
dt{color:var(--quiet)}
dd{margin:0}
@media(max-width:30rem){dl{display:block}dd{margin-bottom:.6rem}}
.up::before{content:"";display:inline-block;width:.6rem;height:.6rem;border-radius:50%;background:#2e9e4f;margin-right:.5rem}
ul,ol{margin:0 0 .75rem;padding-left:1.25rem}
li{margin-bottom:.5rem}
form{max-width:24rem}
label{display:block;font-weight:600}
.hint{color:var(--quiet);font-size:.9rem;margin:0 0 .25rem}
input:not([type=checkbox]){display:block;width:100%;font:inherit;color:inherit;background:var(--ground);border:1px solid var(--quiet);border-radius:.4rem;padding:.6rem .7rem;margin:.25rem 0 1rem}
.check{display:flex;gap:.6rem;align-items:center;font-weight:400;margin:-.25rem 0 1rem;min-height:1.75rem}
.check input{width:1.15rem;height:1.15rem;margin:0;flex:none;accent-color:var(--warm)}
button{font:inherit;font-weight:600;color:var(--warm-text);background:var(--warm);border:0;border-radius:.4rem;padding:.7rem 1.25rem;margin-bottom:.75rem;cursor:pointer;width:100%}
button:disabled{opacity:.6;cursor:default}
.small{width:auto;padding:.25rem .7rem;margin:0;font-size:.9rem}
.small,#sign-out{color:var(--warm);background:none;border:1px solid var(--warm)}
#invite,#examine,#sign-out{max-width:24rem}
:focus-visible{outline:3px solid var(--warm);outline-offset:2px}
#findings{list-style:none;padding-left:0}
.bad strong{color:var(--bad)}
[role=alert]{color:var(--bad);font-weight:600}
[role=alert]:empty{display:none}
`
