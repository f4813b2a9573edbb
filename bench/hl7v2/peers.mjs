// Measures readers of HL7 v2 on npm: how many bytes of messages each parses and
// reads twenty fields of, and walks whole, in a second of processor time.
import { readFileSync } from 'node:fs';

globalThis.WebSocket ??= class {}; // one of them looks for it when it is loaded
const raw = readFileSync(process.argv[2], 'utf8');
const seconds = Number(process.argv[3]);

// The places as segment, number of it, field, component; 0: the whole.
const places = [
  ['MSH', 1, 3, 0], ['MSH', 1, 4, 0], ['MSH', 1, 9, 1], ['MSH', 1, 9, 2], ['MSH', 1, 10, 0], ['MSH', 1, 12, 0], ['PID', 1, 3, 1], ['PID', 1, 3, 4],
  ['PID', 1, 3, 5], ['PID', 1, 5, 1], ['PID', 1, 5, 2], ['PID', 1, 7, 0], ['PID', 1, 8, 0], ['PV1', 1, 2, 0], ['ORC', 1, 1, 0], ['OBR', 1, 4, 1],
  ['OBR', 1, 25, 0], ['OBX', 1, 3, 1], ['OBX', 2, 5, 0], ['OBX', 3, 8, 0],
];

async function medplum() {
  const { Hl7Message } = await import('@medplum/core');
  return {
    read: () => {
      const m = Hl7Message.parse(raw);
      let n = 0;
      for (const [s, i, f, c] of places) {
        const field = m.getAllSegments(s)[i - 1].getField(f);
        n += (c ? field.getComponent(c) : field.toString()).length;
      }
      return n;
    },
    walk: () => {
      let n = 0;
      for (const s of Hl7Message.parse(raw).segments) for (const f of s.fields) for (const r of f.components) for (const c of r) for (const sub of c.split('&')) n += sub.length;
      return n;
    },
  };
}

async function client() {
  const { Message } = await import('node-hl7-client');
  return {
    read: () => {
      const m = new Message({ text: raw });
      let n = 0;
      for (const [s, , f, c] of places) n += m.get(c ? `${s}.${f}.${c}` : `${s}.${f}`).toString().length; // of the first segment
      return n;
    },
  };
}

async function hl7v2() {
  const { HL7Message } = await import('hl7v2');
  return {
    read: () => {
      const m = HL7Message.parse(raw);
      let n = 0;
      for (const [s, i, f, c] of places) {
        const at = m.segments.filter((x) => x.segmentType === s)[i - 1] ?? m.getSegment(s);
        n += String(at.field(f).getValue(c || undefined) ?? '').length;
      }
      return n;
    },
  };
}

for (const [name, make] of [['@medplum/core Hl7Message', medplum], ['node-hl7-client Message', client], ['hl7v2 HL7Message', hl7v2]]) {
  try {
    const does = await make();
    for (const what of ['read', 'walk']) {
      if (!does[what]) continue;
      if (!(does[what]() > 20)) throw new Error('it read nothing');
      for (let until = performance.now() + 1000 * seconds / 4; performance.now() < until; ) does[what](); // warm
      let n = 0;
      const used = () => { const u = process.cpuUsage(); return (u.user + u.system) / 1e6; };
      const began = used();
      while (used() - began < seconds) for (let i = 0; i < 50; i++, n++) does[what]();
      const took = used() - began;
      console.log(`${name}\t${what}\t${((n * Buffer.byteLength(raw)) / took / 1e6).toFixed(1)}`);
    }
  } catch (e) {
    console.log(`${name}\tfailed\t${e.message.slice(0, 120)}`);
  }
}
