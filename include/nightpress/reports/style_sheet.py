"""The page's style sheet: light, dark and print."""

CSS = """
:root{color-scheme:light dark;--paper:#fdfcfa;--card:#fff;--ink:#1d2127;--soft:#5c646f;--line:#e3e1db;
--accent:#2f6f9f;--second:#7a9e87;--quiet:#b9b4a8;--bad:#b4472f;--good:#3b7a57;--look:#9a6b12;--wash:#f4f1ea}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1b1f25;--ink:#e6e4df;--soft:#9ba3ad;
--line:#2e343c;--accent:#6fa8d6;--second:#86b296;--quiet:#6a6f76;--bad:#e2846c;--good:#7cc09a;
--look:#d9ac57;--wash:#20252c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",
Roboto,"Noto Sans","Noto Sans CJK SC",sans-serif;-webkit-text-size-adjust:100%}
main{max-width:62rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.1rem 0 .6rem;letter-spacing:-.015em;font-weight:650}
h2{font-size:1.35rem;margin:3rem 0 .25rem;padding-top:1.1rem;border-top:2px solid var(--ink);
overflow-wrap:anywhere;letter-spacing:-.01em}
h3{font-size:1.02rem;margin:2.2rem 0 .6rem}h4{font-size:.9rem;margin:0 0 .5rem;font-weight:600}
p{margin:.4rem 0}a{color:var(--accent)}
.over{color:var(--soft);font-size:.85rem;letter-spacing:.04em;margin:0}
.state{font-size:1.1rem;display:flex;gap:.6rem;align-items:baseline;margin:.2rem 0 0}
.state::before{content:"";flex:none;width:.7rem;height:.7rem;border-radius:50%;background:var(--quiet)}
.good::before{background:var(--good)}.look::before{background:var(--look)}.bad::before{background:var(--bad)}
.note{background:var(--wash);border-left:3px solid var(--look);padding:.65rem .9rem;margin:1.1rem 0;
border-radius:0 4px 4px 0;font-size:.94rem}
.soft{color:var(--soft)}.small{font-size:.88rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.8rem,1fr));gap:.7rem;margin:1.1rem 0;padding:0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.65rem .85rem .7rem}
.tile dt{font-size:.82rem;color:var(--soft)}
.tile dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.25;font-variant-numeric:tabular-nums;
letter-spacing:-.01em;white-space:nowrap}
.tile dd+dd{font-size:.8rem;font-weight:400;color:var(--soft);letter-spacing:0;white-space:normal}
.tile.bad dd:first-of-type{color:var(--bad)}
.todo{list-style:none;padding:0;margin:.5rem 0}
.todo li{display:grid;grid-template-columns:minmax(1.6rem,auto) 1fr;gap:0 .9rem;padding:.55rem 0;
border-top:1px solid var(--line)}
.todo li:last-child{border-bottom:1px solid var(--line)}
.todo b{font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;min-width:min(100%,26rem)}
th,td{padding:.28rem 0 .28rem 1.6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;
vertical-align:baseline}
thead th{color:var(--soft);font-weight:500;font-size:.82rem;border-bottom-color:var(--quiet)}
tbody th{font-weight:400}
th:first-child{text-align:left;padding-left:0;white-space:normal;overflow-wrap:break-word;min-width:6.5rem;max-width:20rem}
td:nth-child(2){font-weight:600}.plain td:nth-child(2){font-weight:400}
tr.in th:first-child{padding-left:1.1rem;color:var(--soft)}
.reasons td,.reasons th{text-align:left;white-space:normal;vertical-align:top}
.reasons td:nth-child(2){text-align:right;font-weight:600}
.reasons ul{margin:0;padding-left:1rem;overflow-wrap:anywhere;min-width:14rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.85rem 1rem .7rem;
break-inside:avoid}
figure svg{display:block;width:100%;height:auto;max-width:23rem;overflow:visible}
figcaption{font-size:.8rem;color:var(--soft);margin-top:.5rem;line-height:1.45}
details{border-top:1px solid var(--line)}details:last-of-type{border-bottom:1px solid var(--line)}
summary{cursor:pointer;padding:.5rem 0;font-weight:600;overflow-wrap:anywhere}
summary span{font-weight:400;color:var(--soft);font-size:.88rem;margin-left:.5rem}
article{padding:.15rem 0 .95rem;max-width:44rem;content-visibility:auto;contain-intrinsic-size:auto 6rem}
article h5{font-size:1rem;line-height:1.4;margin:0;font-weight:600;overflow-wrap:anywhere}
article p{margin:.15rem 0 0;white-space:pre-line;overflow-wrap:anywhere}
article .id{color:var(--soft);font-size:.78rem;overflow-wrap:anywhere;margin-top:.1rem}
article .fail{color:var(--bad)}
.fields{margin:.25rem 0 0;display:grid;gap:.1rem .9rem}
.fields>div{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:0 .9rem}
.fields dt{color:var(--soft);font-size:.88rem;overflow-wrap:anywhere;max-width:12rem}
.fields dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}.fields ul{margin:0;padding-left:1rem}
.fields .fields{margin:0}.differs{background:var(--wash);box-shadow:-.4rem 0 var(--wash),.4rem 0 var(--wash)}
.differs>dt{color:var(--look)}
article.wide{max-width:none;padding-top:.9rem;border-top:1px solid var(--line)}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,16rem),1fr));gap:.7rem;margin:.5rem 0}
.side{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem .85rem}
.side h4{color:var(--soft);margin:0 0 .3rem;overflow-wrap:anywhere}.side .fields>div{display:block}
footer{margin-top:3.5rem;color:var(--soft);font-size:.82rem;border-top:1px solid var(--line);padding-top:.8rem}
@media(max-width:36rem){main{padding:1.4rem 1rem 3rem}h1{font-size:1.5rem}th,td{padding-left:.6rem}
table{font-size:.8rem;min-width:100%}tr.in th:first-child{padding-left:.6rem}th:first-child{min-width:5rem}
.tiles{grid-template-columns:1fr 1fr}.tile dd{font-size:1.25rem}}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--accent:#2f6f9f;
--second:#7a9e87;--quiet:#999;--bad:#a03a24;--good:#2c6346;--look:#7d560d;--wash:#f3f3f3}
@page{margin:16mm}body{font-size:10pt}main{max-width:none;padding:0}
h2,h3,summary{break-after:avoid}tr,.tile,.todo li{break-inside:avoid}article{break-inside:avoid;
content-visibility:visible;max-width:none}details::details-content{content-visibility:visible;height:auto}
.state::before,.note,.tile,figure svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.plots{grid-template-columns:1fr 1fr}.tiles{grid-template-columns:repeat(5,1fr);gap:.4rem}.tile dd{font-size:1.1rem}}
"""
