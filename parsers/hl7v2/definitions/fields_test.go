package definitions

import "testing"

func TestFieldsDifferByVersion(t *testing.T) {
	for _, c := range []struct {
		version string
		want    Field
	}{
		{"2.1", Field{Name: "Sex", Type: "ID", Length: 1, Optionality: "O", Table: "0001"}},
		{"2.5.1", Field{Name: "Administrative Sex", Type: "IS", Length: 1, Optionality: "O", Table: "0001"}},
		{"2.8.2", Field{Name: "Administrative Sex", Type: "CWE", Length: 1, Optionality: "O", Table: "0001"}},
	} {
		if got := FieldOf(c.version, "PID", 8); got != c.want {
			t.Errorf("PID-8 of %s is %+v, want %+v", c.version, got, c.want)
		}
	}
	if f := FieldOf("2.5.1", "PID", 5); !f.Required() || !f.Repeats || f.Type != "XPN" {
		t.Errorf("PID-5 is %+v", f)
	}
	if f := FieldOf("2.5.1", "OBX", 2); f.Repeats {
		t.Error("the table of OBX-2 was taken for its repetitions")
	}
	if FieldOf("2.1", "MSH", 18).Known() {
		t.Error("2.1 has no MSH-18")
	}
	if FieldName("2.1", "MSH", 18) == "" {
		t.Error("a name is that of the nearest version that has the field")
	}
}

func TestNearestVersionServes(t *testing.T) {
	for said, want := range map[string]string{
		"2.1": "2.1", "2.3.1": "2.3.1", "2.3.2": "2.3.1", "2.7.1": "2.7", "2.8": "2.8", "2.8.1": "2.8.1", "2.8.2": "2.8.2", "2.9": "2.9", "2.9.1": "2.9", "": "2.5.1", "3.0": "2.5.1", "2.0": "2.5.1", "x": "2.5.1",
	} {
		if got := Version(said); got != want {
			t.Errorf("%q is served by %q, want %q", said, got, want)
		}
	}
}

// TestTypesOfFieldsAreKnown holds the two tables together.
func TestTypesOfFieldsAreKnown(t *testing.T) {
	for at, v := range versions {
		segments := 0
		for key, rows := range fields().rows {
			for _, r := range rows {
				if int(r.first) > at || int(r.last) < at {
					continue
				}
				if key.number == 0 {
					segments++
				} else if TypeName(v, r.Type) == "" && r.Type != "VARIES" && r.Type != "" {
					t.Errorf("%s-%d of %s has type %q, which is not known", key.parent, key.number, v, r.Type)
				}
			}
		}
		if segments < 35 {
			t.Errorf("%s has only %d segments", v, segments)
		}
	}
}

func TestComponentsAndCodes(t *testing.T) {
	if c := ComponentOf("2.5.1", "CX", 4); c.Type != "HD" || c.Name != "Assigning Authority" {
		t.Errorf("CX.4 is %+v", c)
	}
	if n := ComponentCount("ST"); n != 0 {
		t.Errorf("ST has %d components", n)
	}
	if name, found, known := Code("0001", "F"); !known || !found || name == "" {
		t.Error("F of table 0001 is not found")
	}
	if _, found, known := Code("0001", "?"); !known || found {
		t.Error("? stands in table 0001")
	}
	if _, _, known := Code("9999", "F"); known {
		t.Error("table 9999 is said to be known")
	}
}
