package routes

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/plexus-health/plexus/connectors"
)

//go:generate go run ./comments
//go:generate go run ../cmd/engine schema --reference ../docs/routes-reference.md --pages ../docs/connectors

// Schema returns the JSON Schema (draft 2020-12) of routes.yaml for an engine
// of these parts. What the language has and this version does not run is left
// out.
func Schema(p Parts) ([]byte, error) {
	return json.MarshalIndent(schemaOf(p, false), "", "  ")
}

// A schema is a JSON Schema under construction.
type schema map[string]any

type schemaBuilder struct {
	parts      Parts
	everything bool
}

func schemaOf(p Parts, everything bool) schema {
	b := &schemaBuilder{parts: p, everything: everything}
	top := b.object(topWords(), "", true)
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "routes.yaml"
	top["description"] = "The channels of a Plexus engine."
	entry := schema{
		"if":   schema{"required": []string{"use"}},
		"then": b.object(useWords(), "", true),
		"else": schema{"$ref": "#/$defs/channel"},
	}
	top["$defs"] = schema{
		"channel":          b.object(channelWords(), "channel", false),
		"channel-defaults": b.object(without(channelWords(), "name", "was", "routes"), "channel", false),
		"route":            b.object(routeWords(), "route", false),
		"route-defaults":   b.object(without(routeWords(), "name", "was"), "route", false),
		"entry":            entry,
		"entries":          schema{"type": "array", "items": schema{"$ref": "#/$defs/entry"}},
	}
	return top
}

// without leaves out words, and lets none be required: defaults.
func without(words []word, left ...string) []word {
	var out []word
	for _, w := range words {
		if !contains(left, w.name) {
			w.required = false
			out = append(out, w)
		}
	}
	return out
}

// object is the schema of a mapping. Defaults may fill what a channel or a
// route requires, so that only strict ones say it.
func (b *schemaBuilder) object(words []word, key string, strict bool) schema {
	properties := schema{}
	var required []string
	for _, w := range words {
		full := key + "." + w.name
		if notYet[full] && !b.everything {
			continue
		}
		s := b.of(w.shape, full)
		text := w.text
		if w.def != "" {
			text += " Default: " + w.def + "."
		}
		s["description"] = text
		properties[w.name] = s
		if w.required && strict {
			required = append(required, w.name)
		}
	}
	out := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// of is the schema of a shape with its alternatives.
func (b *schemaBuilder) of(s shape, key string) schema {
	all := s.alternatives()
	if len(all) == 1 {
		return b.one(s, key)
	}
	var list []schema
	for _, a := range all {
		list = append(list, b.one(a, key))
	}
	return schema{"anyOf": list}
}

const variable = `\$\{[^}]*\}`

// matching is text of a form, or with a variable in it.
func matching(pattern string) schema {
	return schema{"type": "string", "anyOf": []schema{{"pattern": pattern}, {"pattern": variable}}}
}

func orVariable(s schema) schema {
	return schema{"anyOf": []schema{s, {"type": "string", "pattern": variable}}}
}

func (b *schemaBuilder) one(s shape, key string) schema {
	switch s.sort {
	case aName:
		return matching(nameForm.String())
	case aBoolean:
		return orVariable(schema{"type": "boolean"})
	case aWhole:
		return orVariable(schema{"type": "integer", "minimum": 0})
	case aFactor:
		return orVariable(schema{"type": "number", "minimum": 0})
	case aDuration:
		return matching(spanForm.String())
	case aSize:
		return matching(sizeForm.String())
	case aRate:
		return matching(rateForm.String())
	case aClock:
		return matching(clockForm.String())
	case aChoice:
		var known []string
		for _, c := range s.choices {
			if !notYet[key+": "+c] || b.everything {
				known = append(known, c)
			}
		}
		return orVariable(schema{"enum": known})
	case aCondition, aValue, aPath, aZone, aFile:
		return schema{"type": "string", "minLength": 1}
	case aList:
		return schema{"type": "array", "items": b.of(*s.of, key)}
	case aMapping:
		return b.object(s.words, key, true)
	case anOpen:
		return schema{"type": "object", "additionalProperties": b.of(*s.of, key)}
	case aKind:
		return b.kinds(s.ref)
	case aParser:
		return b.parsers()
	case anything:
		if s.ref != "" {
			return schema{"$ref": "#/$defs/" + s.ref}
		}
		return schema{}
	}
	return schema{"type": []string{"string", "number", "boolean"}}
}

// kinds is a mapping with one key: a kind and its options.
func (b *schemaBuilder) kinds(which string) schema {
	properties := schema{}
	for _, k := range b.parts.Connectors {
		switch {
		case which == "source" && k.Source != nil:
			properties[k.Name] = options(k.Source())
		case which == "to" && k.Destination != nil:
			properties[k.Name] = options(k.Destination())
		}
	}
	if which == "source" {
		for kind, words := range insideSources() {
			s := b.object(words, "", true)
			s["type"] = []string{"object", "null"}
			s["description"] = insideTexts["source."+kind]
			properties[kind] = s
		}
	}
	if which == "to" {
		feed := b.object(channelTargetWords(), "", true)
		feed["description"] = insideTexts["to.channel"]
		properties["channel"] = feed
		properties["ehr"] = schema{"type": []string{"object", "null"}, "maxProperties": 0, "description": "Into the store of this engine, as FHIR resources."}
		drop := b.object(dropWords(), "", true)
		drop["description"] = "Nothing is done with the message."
		properties["drop"] = drop
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1, "maxProperties": 1}
}

func (b *schemaBuilder) parsers() schema {
	properties := schema{}
	var known []string
	for _, k := range b.parts.Parsers {
		known = append(known, k.Name)
		properties[k.Name] = options(k.Options())
	}
	long := schema{"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1, "maxProperties": 1}
	return schema{"anyOf": []schema{orVariable(schema{"enum": known}), long}}
}

// options is the schema of the options of a part; no value leaves the defaults.
func options(o any) schema {
	s := typeSchema(reflect.TypeOf(o).Elem(), "")
	s["type"] = []string{"object", "null"}
	return s
}

// typeSchema is the schema of a Go type as an option.
func typeSchema(t reflect.Type, unit string) schema {
	if t == reflect.TypeFor[connectors.Secret]() {
		return schema{
			"type": "object", "properties": schema{"secret": schema{"type": "string", "description": "The name of a secret."}},
			"required": []string{"secret"}, "additionalProperties": false,
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem(), unit)
	case reflect.Slice:
		return schema{"type": "array", "items": typeSchema(t.Elem(), unit)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": typeSchema(t.Elem(), unit)}
	case reflect.Struct:
		properties := schema{}
		for _, f := range optionFields(t) {
			s := typeSchema(f.field.Type, f.unit)
			if text := comment(t, f.name); text != "" {
				s["description"] = text
			}
			properties[f.name] = s
		}
		return schema{"type": "object", "properties": properties, "additionalProperties": false}
	}
	return (&schemaBuilder{}).one(scalarShape(t, unit), "")
}

const module = "github.com/plexus-health/plexus/"

// comment is what the source says of an option.
func comment(t reflect.Type, name string) string {
	return comments[strings.TrimPrefix(t.PkgPath(), module)+"."+t.Name()+"."+name]
}
