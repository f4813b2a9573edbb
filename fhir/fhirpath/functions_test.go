package fhirpath

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// functionCases hold every function, by name.
var functionCases = map[string]map[string]string{
	"empty":      {"{}.empty()": "true", "name.empty()": "false"},
	"exists":     {"name.exists()": "true", "name.exists(use = 'usual')": "true", "name.exists(use = 'x')": "false", "{}.exists()": "false"},
	"all":        {"name.all(given.exists())": "true", "name.all(family.exists())": "false", "{}.all(false)": "true"},
	"allTrue":    {"(true | false).allTrue()": "false", "{}.allTrue()": "true", "true.allTrue()": "true", "1.allTrue()": "error: allTrue() meets a Integer"},
	"allFalse":   {"(true | false).allFalse()": "false", "{}.allFalse()": "true", "false.allFalse()": "true"},
	"anyTrue":    {"(true | false).anyTrue()": "true", "{}.anyTrue()": "false", "false.anyTrue()": "false"},
	"anyFalse":   {"(true | false).anyFalse()": "true", "{}.anyFalse()": "false", "true.anyFalse()": "false"},
	"not":        {"active.not()": "false", "0.not()": "false", "(1 | 2).not()": "error: a condition has 2 values"},
	"subsetOf":   {"(1 | 2).subsetOf(1 | 2 | 3)": "true", "(1 | 4).subsetOf(1 | 2)": "false", "{}.subsetOf({})": "true"},
	"supersetOf": {"(1 | 2 | 3).supersetOf(1 | 2)": "true", "1.supersetOf(1 | 2)": "false"},
	"count":      {"name.count()": "3", "{}.count()": "0"},
	"distinct":   {"name.given.distinct()": "string Anna, string Berta, string Anni, string", "(1 | 1.0).distinct()": "1", "1.combine(2).combine(1).distinct()": "1, 2"},
	"isDistinct": {"name.given.isDistinct()": "false", "identifier.isDistinct()": "true", "{}.isDistinct()": "true"},
	"where":      {"name.where(family = 'Beispiel').use": "code maiden", "name.where({})": "", "name.where(use | family)": "error: a condition has 2 values"},
	"select":     {"name.select(family & '!')": "Mustermann!, !, Beispiel!", "name.select({})": "", "name.select(given.first())": "string Anna, string Anni, string Anna"},
	"repeat":     {"repeat(contact | name).count()": "5", "1.repeat(iif($this < 5, $this + 1, {}))": "2, 3, 4, 5", "name.repeat('x')": "x"},
	"repeatAll":  {"name.repeatAll(iif($this is System.String, {}, 'x'))": "x, x, x"},
	"ofType":     {"deceased.ofType(dateTime)": "dateTime 2020-01-02", "deceased.ofType(boolean)": "", "(1 | 'a').ofType(String)": "a", "contained.ofType(Resource).id": "id o1", "gender.ofType(string)": ""},
	"is": {
		"active is boolean": "true", "active.is(System.Boolean)": "false", "gender is string": "true", "gender.is(code)": "true", "true is Boolean": "true",
		"1 is System.Any": "true", "extension('urn:x:age').value is Quantity": "true", "$this is DomainResource": "true", "contact is BackboneElement": "true",
		"name is HumanName": "error: \"is\" has 3 values", "{} is String": "", "1 'm' is Quantity": "true", "name.first() is Element": "true",
	},
	"as":        {"deceased as dateTime": "dateTime 2020-01-02", "deceased.as(boolean)": "", "name as HumanName": "error: has 3 values", "gender as string": "", "1 as Integer": "1"},
	"single":    {"contact.single().name.family": "string Freund", "name.single()": "error: single() meets 3 values", "{}.single()": ""},
	"first":     {"name.first().use": "code official", "{}.first()": ""},
	"last":      {"name.last().use": "code maiden", "{}.last()": ""},
	"tail":      {"name.tail().use": "code usual, code maiden", "{}.tail()": ""},
	"skip":      {"name.skip(2).use": "code maiden", "name.skip(-1).count()": "3", "name.skip(9)": "", "name.skip('a')": "error: an argument of skip() is a String"},
	"take":      {"name.take(2).use": "code official, code usual", "name.take(-1)": "", "name.take(9).count()": "3", "name.take({})": ""},
	"intersect": {"(1 | 2 | 3).intersect(2 | 3 | 4)": "2, 3", "1.combine(1).intersect(1)": "1", "1.intersect({})": ""},
	"exclude":   {"1.combine(1).combine(2).exclude(2)": "1, 1", "1.exclude({})": "1"},
	"union":     {"1.union(1 | 2)": "1, 2", "name.select(use.union(family)).count()": "5"},
	"combine":   {"1.combine(1)": "1, 1", "{}.combine(2)": "2"},
	"coalesce":  {"coalesce({}, nothing, 1, 2)": "1", "coalesce({})": ""},
	"iif": {
		"iif(true, 1, 2)": "1", "iif(false, 1, 2)": "2", "iif({}, 1, 2)": "2", "iif(false, 1)": "", "iif(true, 1, 1 + 'a')": "1", "'a'.iif($this = 'a', 1, 2)": "1",
		"(1 | 2).iif(true, 1)": "error: iif() meets 2 values", "iif('a', 1)": "error: the criterion of iif() is a String", "iif(true | false, 1)": "error: 2 values",
	},
	"children":    {"contact.children().count()": "2", "name[1].given[1].children()": "string g2, Extension", "1.children()": "", "birthDate.children().url": "uri urn:x:time"},
	"descendants": {"contact.descendants()": "HumanName, Period, string Freund, dateTime 2012", "descendants().ofType(HumanName).count()": "4"},
	"aggregate":   {"(1 | 2 | 3).aggregate($this + $total, 10)": "16", "(1 | 2).aggregate($total)": "", "(3 | 1 | 2).aggregate(iif($total.empty() or $this < $total, $this, $total))": "1", "{}.aggregate($this, 7)": "7"},
	"sum":         {"(1 | 2 | 3).sum()": "6", "{}.sum()": "", "('a' | 'b').sum()": "ab", "(1 'm' | 2 'm').sum()": "3 'm'", "(1 | 'a').sum()": "error: does not take"},
	"avg":         {"(1 | 2).avg()": "1.5", "{}.avg()": ""},
	"min":         {"(3 | 1 | 2).min()": "1", "{}.min()": "", "(1 | 'a').min()": "error: does not compare"},
	"max":         {"(3 | 1 | 4).max()": "4", "('a' | 'b').max()": "b"},
	"sort": {
		"(3 | 1 | 2).sort()": "1, 2, 3", "(3 | 1 | 2).sort(-$this)": "3, 2, 1", "('b' | 'a').sort($this desc)": "b, a", "('b' | 'a').sort($this asc)": "a, b",
		"name.sort(family).use": "code usual, code maiden, code official", "name.sort(given.first(), -use).use": "code official, code maiden, code usual", "(1 | 'a').sort()": "error: sort() does not compare",
		"telecom.sort(rank).system": "code email, code phone",
	},
	"trace":          {"name.trace('n').count()": "3", "name.trace('n', given).count()": "3"},
	"defineVariable": {"name.defineVariable('n').select(%n.count())": "3, 3, 3", "defineVariable('u', name.use).select(%u.first())": "code official", "name.defineVariable('n').count() + %n.count()": "error: %n is not known", "defineVariable('n', 1).defineVariable('n', 2)": "error: a variable that there is", "defineVariable('ucum')": "error: a variable that there is"},
	"indexOf":        {"'abc'.indexOf('c')": "2", "'abc'.indexOf('x')": "-1", "'äbc'.indexOf('c')": "2", "'abc'.indexOf('')": "0", "'abc'.indexOf({})": ""},
	"lastIndexOf":    {"'abca'.lastIndexOf('a')": "3", "'abc'.lastIndexOf('x')": "-1"},
	"startsWith":     {"'abc'.startsWith('ab')": "true", "'abc'.startsWith('')": "true", "1.startsWith('a')": "error: what startsWith() applies to is a Integer"},
	"endsWith":       {"'abc'.endsWith('bc')": "true", "'abc'.endsWith('ab')": "false"},
	"contains":       {"'abc'.contains('b')": "true", "name.family.contains('b')": "error: 2 values", "'123'.select(contains(length().toString()))": "true"},
	"upper":          {"'aé'.upper()": "AÉ", "gender.upper()": "FEMALE"},
	"lower":          {"'AÉ'.lower()": "aé", "{}.lower()": ""},
	"trim":           {"'\\t a b '.trim()": "a b"},
	"length":         {"'äöü'.length()": "3", "''.length()": "0"},
	"substring":      {"'äbcd'.substring(1)": "bcd", "'abcd'.substring(1, 2)": "bc", "'abcd'.substring(4)": "", "'abcd'.substring(-1)": "", "'abcd'.substring(0, 0)": "", "'abcd'.substring(1, 99)": "bcd", "'abcd'.substring({})": "", "'abcd'.substring(1, {})": "bcd"},
	"replace":        {"'abab'.replace('b', 'c')": "acac", "'ab'.replace('', 'x')": "xaxbx", "'ab'.replace('a', {})": ""},
	"matches":        {"'abc'.matches('b')": "true", "'abc'.matches('^b')": "false", "'a\\nb'.matches('a.b')": "true", "'abc'.matches('\\\\d')": "false", "'abc'.matches('(')": "error: the regular expression", "'abc'.matches({})": "", "'abc'.matches('a' & 'b')": "true", "'a'.matches('(' & '')": "error: the regular expression"},
	"matchesFull":    {"'abc'.matchesFull('b')": "false", "'abc'.matchesFull('a|abc')": "true"},
	"replaceMatches": {"'11/30/1972'.replaceMatches('(?<m>\\\\d+)/(?<d>\\\\d+)/(?<y>\\\\d+)', '${y}-${m}-${d}')": "1972-11-30", "'ab'.replaceMatches('(a)', '$1$1')": "aab", "'ab'.replaceMatches('(a)', '$1x')": "axb", "'ab'.replaceMatches('', 'x')": "ab", "'ab'.replaceMatches('b', {})": ""},
	"toChars":        {"'aä'.toChars()": "a, ä", "''.toChars()": ""},
	"split":          {"'a,b,,c'.split(',').count()": "4", "'ab'.split('')": "a, b", "'a'.split({})": ""},
	"join":           {"name.given.join('-')": "Anna-Berta-Anni-Anna", "('a' | 'b').join()": "ab", "{}.join(',')": ""},
	"encode":         {"'a?>'.encode('base64')": "YT8+", "'a?>'.encode('urlbase64')": "YT8-", "'ab'.encode('hex')": "6162", "'a'.encode('rot13')": ""},
	"decode":         {"'YT8+'.decode('base64')": "a?>", "'YT8-'.decode('urlbase64')": "a?>", "'6162'.decode('hex')": "ab", "'zz'.decode('hex')": "", "'ff'.decode('hex')": ""},
	"escape":         {"'<\"a\">&'.escape('html')": "&lt;&quot;a&quot;&gt;&amp;", "'\"a\\n'.escape('json')": "\\\"a\\n"},
	"unescape":       {"'&lt;a&gt;'.unescape('html')": "<a>", "'\\\\\"a\\\\u0041'.unescape('json')": "\"aA", "'\"'.unescape('json')": ""},

	"toBoolean":          {"'Yes'.toBoolean()": "true", "'f'.toBoolean()": "false", "0.0.toBoolean()": "false", "2.toBoolean()": "", "'x'.toBoolean()": "", "active.toBoolean()": "true"},
	"convertsToBoolean":  {"'T'.convertsToBoolean()": "true", "2.convertsToBoolean()": "false", "{}.convertsToBoolean()": "", "(1 | 2).convertsToBoolean()": "error: meets 2 values"},
	"toInteger":          {"'+12'.toInteger()": "12", "'1.0'.toInteger()": "", "1.0.toInteger()": "", "true.toInteger()": "1", "'99999999999'.toInteger()": ""},
	"convertsToInteger":  {"'-5'.convertsToInteger()": "true", "'2147483648'.convertsToInteger()": "false", "name[0].convertsToInteger()": "false"},
	"toDecimal":          {"'1.50'.toDecimal()": "1.50", "'1.'.toDecimal()": "", "'1e3'.toDecimal()": "", "true.toDecimal()": "1", "5.toDecimal() is Decimal": "true"},
	"convertsToDecimal":  {"'-1.5'.convertsToDecimal()": "true", "'a'.convertsToDecimal()": "false"},
	"toString":           {"1.50.toString()": "1.50", "@T10:30.toString()": "10:30", "1 'mg'.toString()": "1 'mg'", "1 day.toString()": "1 day", "3 days.toString()": "3 days", "@2012-01-02T03:04:05.006-07:30.toString()": "2012-01-02T03:04:05.006-07:30", "name[0].toString()": ""},
	"convertsToString":   {"active.convertsToString()": "true", "name[0].convertsToString()": "false"},
	"toDate":             {"'2012-01'.toDate()": "2012-01", "@2012-01-02T10:00.toDate()": "2012-01-02", "'x'.toDate()": "", "deceased.toDate()": "2020-01-02"},
	"convertsToDate":     {"'2012-13'.convertsToDate()": "false", "'2012-02-29'.convertsToDate()": "true", "'2013-02-29'.convertsToDate()": "false"},
	"toDateTime":         {"'2012-01-02T10:00Z'.toDateTime()": "2012-01-02T10:00Z", "@2012.toDateTime() is DateTime": "true"},
	"convertsToDateTime": {"'2012-01-02T25'.convertsToDateTime()": "false", "'2012'.convertsToDateTime()": "true"},
	"toTime":             {"'10:30:01.5'.toTime()": "10:30:01.5", "'24:00'.toTime()": ""},
	"convertsToTime":     {"'T10'.convertsToTime()": "true", "'x'.convertsToTime()": "false"},
	"toQuantity":         {"'5.5 \\'mg\\''.toQuantity()": "5.5 'mg'", "'5 days'.toQuantity()": "5 days", "'5 mg'.toQuantity()": "", "5.toQuantity()": "5 '1'", "1 'm'.toQuantity('cm')": "100 'cm'", "1 'm'.toQuantity('s')": "", "'1 \\'wk\\''.toQuantity('d')": "7 'd'", "7 days.toQuantity('week')": "1 week", "true.toQuantity()": "1 '1'"},
	"convertsToQuantity": {"'1'.convertsToQuantity()": "true", "'1 x'.convertsToQuantity()": "false", "1 'm'.convertsToQuantity('s')": "false"},

	"abs":      {"(-1.50).abs()": "1.50", "(-3).abs()": "3", "(-1 'm').abs()": "1 'm'", "'a'.abs()": "error: abs() does not apply to a String"},
	"ceiling":  {"1.1.ceiling()": "2", "(-1.1).ceiling()": "-1", "1 'm'.ceiling()": "error: does not apply to a Quantity"},
	"floor":    {"1.9.floor()": "1", "(-1.1).floor()": "-2", "9999999999.5.floor()": ""},
	"truncate": {"(-1.9).truncate()": "-1"},
	"exp":      {"0.exp()": "1", "1.exp()": "2.718281828459045235360287471", "99999.exp()": ""},
	"ln":       {"1.ln()": "0", "0.ln()": "", "2.718281828459045235360287471.ln().round(9)": "1.000000000"},
	"sqrt":     {"81.sqrt()": "9", "2.sqrt().round(5)": "1.41421", "(-1).sqrt()": ""},
	"log":      {"16.log(2)": "4", "125.log(5)": "3", "100.0.log(10.0)": "2", "1.log(1)": "", "10.log(0)": "", "10.log({})": ""},
	"power":    {"2.power(3)": "8", "2.5.power(2)": "6.25", "2.power(-1)": "0.5", "(-1).power(0.5)": "", "0.power(0)": "1", "0.power(-1)": "", "2.power(40)": "1099511627776", "10.power(99999)": "", "2.power({})": ""},
	"round":    {"3.14159.round(3)": "3.142", "2.5.round()": "3", "(-2.5).round()": "-3", "1.round(2)": "1.00", "1.round(-1)": "error: round() takes", "1.round({})": "", "1.55 'm'.round(1)": "1.6 'm'"},

	"now":              {"now()": "2024-03-04T05:06:07.089+01:00", "now() = now()": "true"},
	"today":            {"today()": "2024-03-04"},
	"timeOfDay":        {"timeOfDay()": "05:06:07.089"},
	"lowBoundary":      {"1.587.lowBoundary()": "1.58650000", "(-1.587).lowBoundary(2)": "-1.59", "0.lowBoundary(1)": "-0.5", "@2014.lowBoundary()": "2014-01-01", "@2014.lowBoundary(6)": "2014-01", "@T10:30.lowBoundary()": "10:30:00.000", "@2014-05.toDateTime().lowBoundary()": "2014-05-01T00:00:00.000+14:00", "1.lowBoundary(-1)": "", "@2014.lowBoundary(7)": "", "@2014.lowBoundary(17)": "", "'a'.lowBoundary()": "error: does not apply"},
	"highBoundary":     {"1.587.highBoundary(2)": "1.59", "0.highBoundary(1)": "0.5", "@2014.highBoundary()": "2014-12-31", "@2016-02.highBoundary()": "2016-02-29", "@T10.highBoundary(2)": "10", "@T10:30.highBoundary(9)": "10:30:59.999", "@2014-05-06T10:30:01.5Z.highBoundary()": "2014-05-06T10:30:01.599Z", "@2014.toDateTime().highBoundary()": "2014-12-31T23:59:59.999-12:00", "1.5 'm'.highBoundary(2)": "1.55 'm'"},
	"precision":        {"1.50.precision()": "2", "3.precision()": "0", "@2014.precision()": "4", "@2014-05-06T10.precision()": "10", "@T10:30.precision()": "4", "@T10:30:00.000.precision()": "9", "'a'.precision()": "error: does not apply"},
	"comparable":       {"1 'cm'.comparable(1 '[in_i]')": "true", "1 'cm'.comparable(1 's')": "false", "1 'x'.comparable(1 'x')": "true"},
	"yearOf":           {"birthDate.yearOf()": "1980", "@T10.yearOf()": ""},
	"monthOf":          {"birthDate.monthOf()": "5", "@2014.monthOf()": ""},
	"dayOf":            {"birthDate.dayOf()": "17"},
	"hourOf":           {"now().hourOf()": "5", "@2014.hourOf()": ""},
	"minuteOf":         {"now().minuteOf()": "6"},
	"secondOf":         {"now().secondOf()": "7"},
	"millisecondOf":    {"now().millisecondOf()": "89", "@T10:00:00.millisecondOf()": ""},
	"timezoneOffsetOf": {"now().timezoneOffsetOf()": "1", "birthDate.timezoneOffsetOf()": ""},
	"dateOf":           {"now().dateOf()": "2024-03-04", "'a'.dateOf()": "error: does not apply"},
	"timeOf":           {"now().timeOf()": "05:06:07.089", "birthDate.timeOf()": ""},

	"type": {"1.type().name": "Integer", "gender.type().namespace": "FHIR", "gender.type().name": "code", "gender.type().baseType": "FHIR.string", "1.type().baseType": "System.Any", "$this.type().name": "Patient", "1 'm'.type().name": "Quantity", "contact.type().name": "BackboneElement"},
	"extension": {
		"extension('urn:x:score').value": "decimal 1.50", "birthDate.extension('urn:x:time').value": "dateTime 1980-05-17T10:20:30+02:00", "extension('urn:x:nope')": "", "extension({})": "",
		"extension('urn:x:when').value is instant": "true",
	},
	"hasValue":       {"gender.hasValue()": "true", "name.hasValue()": "false", "name[0].hasValue()": "false", "1.hasValue()": "true", "{}.hasValue()": "false"},
	"getValue":       {"gender.getValue() is System.String": "true", "name.getValue()": "", "extension('urn:x:score').value.getValue()": "1.50"},
	"resolve":        {"managingOrganization.resolve().name": "string Ward", "'#o1'.resolve().id": "id o1", "'#'.resolve().gender": "code female", "generalPractitioner.resolve() is Practitioner": "true", "'Practitioner/8'.resolve()": "", "name.resolve()": ""},
	"conformsTo":     {"conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')": "true", "conformsTo('http://hl7.org/fhir/StructureDefinition/Person|4.0.1')": "false", "conformsTo('urn:x')": "error: a profile that is not known", "name.conformsTo('http://hl7.org/fhir/StructureDefinition/HumanName')": "error: meets 3 values"},
	"memberOf":       {"gender.memberOf('urn:vs')": "true", "maritalStatus.memberOf('urn:vs')": "true", "maritalStatus.coding.memberOf('urn:vs')": "true", "'x'.memberOf('urn:vs')": "false", "gender.memberOf('urn:none')": "error: a value set that is not known", "{}.memberOf('urn:vs')": "", "name.memberOf('urn:vs')": "error: meets 3 values"},
	"checkModifiers": {"name.checkModifiers('urn:x').count()": "3", "checkModifiers().gender": "code female"},
	"htmlChecks":     {"text.div.htmlChecks()": "true", "'<div>a</div>'.htmlChecks()": "false", "name.htmlChecks()": "false"},
}

func TestFunctions(t *testing.T) {
	for name, cases := range functionCases {
		t.Run(name, func(t *testing.T) { expectations(t, cases) })
	}
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		if len(functionCases[name]) == 0 {
			t.Errorf("no test for %s()", name)
		}
	}
}

func TestBundles(t *testing.T) {
	root := parsed(t, `{"resourceType":"Bundle","entry":[
		{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"a","gender":"male"}},
		{"fullUrl":"http://example.org/fhir/Organization/b","resource":{"resourceType":"Organization","id":"b","name":"N"}},
		{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"Organization/b/_history/3"},{"reference":"Organization/c"}]}}]}`)
	for expression, want := range map[string]string{
		"entry.resource.subject.resolve().gender":                           "code male",
		"entry.resource.performer.resolve().name":                           "string N",
		"entry.resource.performer.where(resolve() is Organization).count()": "1",
		"entry.resource.ofType(Patient).id":                                 "id a",
		"entry.resource.count()":                                            "3",
	} {
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		values, err := e.Eval(t.Context(), root, Options{})
		if got := shown(values); err != nil || got != want {
			t.Errorf("%s = %s, %v, want %s", expression, got, err, want)
		}
	}
}

func TestOptions(t *testing.T) {
	root := parsed(t, person)
	eval := func(expression string, n *fhir.Node, o Options) string {
		t.Helper()
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		values, err := e.Eval(t.Context(), n, o)
		if err != nil {
			return err.Error()
		}
		return shown(values)
	}
	traced := ""
	o := Options{Trace: func(name string, values []Value) { traced += name + "=" + shown(values) + ";" }, AsFilters: true}
	if got := eval("name.trace('n', use).family.trace('f') as string", root, o); got != "string Mustermann, string Beispiel" {
		t.Errorf("as with AsFilters gives %s", got)
	}
	if traced != "n=code official, code usual, code maiden;f=string Mustermann, string Beispiel;" {
		t.Errorf("trace() told %s", traced)
	}
	contact := root.Get("contact").Items[0]
	for typ, want := range map[string]string{"Patient.contact": "dateTime 2012", "": "2012"} {
		got := eval("period.start", contact, Options{Type: typ})
		if strings.TrimSpace(got) != want {
			t.Errorf("with the type %q period.start is %q, want %q", typ, got, want)
		}
	}
	if got := eval("%resource.gender | %rootResource.id | %context.period.start", contact, Options{Type: "Patient.contact", Resource: root}); got != "code female, id p1, dateTime 2012" {
		t.Errorf("variables of a part: %s", got)
	}
	if got := eval("1 + 1", nil, Options{}); got != "2" {
		t.Errorf("without a root 1 + 1 is %s", got)
	}
	if got := eval("name | %resource | resolve()", nil, Options{}); got != "" {
		t.Errorf("without a root a path gives %s", got)
	}
}

func TestCheck(t *testing.T) {
	for expression, want := range map[string]string{
		"name.given.first()":                             "",
		"Patient.name.where(use = 'usual').given":        "",
		"name.given1":                                    `byte 5: "given1" is no element there`,
		"name.where(given1 = 'a')":                       `"given1" is no element`,
		"name.select(given | famly)":                     `"famly" is no element`,
		"Encounter.name":                                 `byte 0: the path begins with the type "Encounter"`,
		"Resource.id | DomainResource.text":              "",
		"deceased as boolean":                            "",
		"deceased.ofType(dateTime).extension('a').value": "",
		"deceasedBoolean":                                "is no element",
		"(deceased as Period).unit":                      "is no element",
		"contact.name.famly":                             "is no element",
		"contained.anything.at.all":                      "",
		"children().skip(1)":                             "no order",
		"descendants()[0]":                               "no order",
		"children().where(true).first()":                 "no order",
		"name.all(family.exists() and given.exists())":   "",
		"name.exists(nope)":                              "is no element",
		"iif(active, name, nope)":                        "is no element",
		"name.iif(use.exists(), use, nope)":              "is no element",
		"%resource.nope":                                 "is no element",
		"name.repeat($this).nope":                        "",
		"name.first().single().nope":                     "is no element",
		"name.combine(contact.name).nope":                "is no element",
		"name[nope]":                                     "is no element",
		"-nope":                                          "is no element",
		"1 + nope":                                       "is no element",
		"nope + 1":                                       "is no element",
		"nope is string":                                 "is no element",
		"1 +":                                            "byte 3",
		"extension" + strings.Repeat(".value.extension", 60) + ".nope": "is no element",
	} {
		_, err := CompileFor("Patient", expression)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("CompileFor(Patient, %s): %v, want %q", expression, err, want)
		}
	}
	if _, err := CompileFor("Questionnaire", "item.item.item.answerOption.value.ofType(Coding).code"); err != nil {
		t.Error(err)
	}
	if _, err := CompileFor("Nothing", "a"); err == nil {
		t.Error("a type that is none is taken")
	}
}
