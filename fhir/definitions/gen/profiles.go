package main

import (
	"bytes"
	"encoding/json"
	"log"
	"path/filepath"
	"slices"
	"strings"
)

// An object is JSON with its members as they are.
type object map[string]json.RawMessage

// pick keeps the members that are named, and those that begin with a word that
// ends with a star.
func (o object) pick(names ...string) object {
	out := object{}
	for name, value := range o {
		for _, want := range names {
			if stem, many := strings.CutSuffix(want, "*"); name == want || (many && strings.HasPrefix(name, stem)) {
				out[name] = value
			}
		}
	}
	return out
}

func (o object) text(name string) string {
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return ""
	}
	return s
}

// list keeps the named members of each object of a list; an object is left out
// where keep says so.
func (o object) list(name string, keep func(object) bool, names ...string) {
	var list []object
	if json.Unmarshal(o[name], &list) != nil {
		return
	}
	var kept []object
	for _, one := range list {
		if keep == nil || keep(one) {
			kept = append(kept, one.pick(names...))
		}
	}
	delete(o, name)
	if len(kept) > 0 {
		o[name] = marshal(kept)
	}
}

func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		log.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// profiles writes one line of JSON for each profile and extension that R4 itself
// defines: what its differential says and a validator needs.
func profiles(from string) []byte {
	var lines []string
	for _, name := range []string{"profiles-others.json", "extension-definitions.json"} {
		var b bundle
		read(filepath.Join(from, name), &b)
		for _, e := range b.Entry {
			var o object
			if json.Unmarshal(e.Resource, &o) == nil && o.text("resourceType") == "StructureDefinition" && o.text("derivation") == "constraint" {
				lines = append(lines, string(marshal(compact(o)))+"\n")
			}
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

func compact(o object) object {
	out := o.pick("resourceType", "url", "type", "kind", "derivation", "baseDefinition", "context")
	var differential struct{ Element []object }
	if err := json.Unmarshal(o["differential"], &differential); err != nil {
		log.Fatal(err)
	}
	var elements []object
	for _, e := range differential.Element {
		x := e.pick("id", "path", "sliceName", "min", "max", "maxLength", "contentReference", "fixed*", "pattern*", "slicing", "type", "binding", "constraint")
		x.list("type", nil, "code", "profile", "targetProfile")
		x.list("constraint", func(c object) bool {
			key := c.text("key")
			return key != "ele-1" && key != "ext-1" && !strings.HasPrefix(key, "dom-")
		}, "key", "severity", "human", "expression")
		for name, members := range map[string][]string{"binding": {"strength", "valueSet"}, "slicing": {"discriminator", "rules", "ordered"}} {
			var inner object
			if json.Unmarshal(x[name], &inner) == nil && inner != nil {
				x[name] = marshal(inner.pick(members...))
			}
		}
		elements = append(elements, x)
	}
	out["differential"] = marshal(map[string]any{"element": elements})
	return out
}

// constraints are the profiles of R4 as far as their bindings go.
func constraints(from string) []structure {
	var out []structure
	for _, name := range []string{"profiles-others.json", "extension-definitions.json"} {
		var b bundle
		read(filepath.Join(from, name), &b)
		for _, e := range b.Entry {
			var s structure
			if json.Unmarshal(e.Resource, &s) == nil && s.ResourceType == "StructureDefinition" {
				out = append(out, s)
			}
		}
	}
	return out
}
