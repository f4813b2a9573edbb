// Package ucum reads units of UCUM (the Unified Code for Units of Measure) and
// converts numbers between those that measure the same.
package ucum

import (
	"maps"
	"math/big"
	"strconv"
	"strings"
	"sync"
)

// System is the system of UCUM in FHIR.
const System = "http://unitsofmeasure.org"

// A Unit is a unit in base units: a factor, and the power of each base. It is
// not changed once read.
type Unit struct {
	factor *big.Rat
	bases  map[string]int
	offset *big.Rat // added to the value first; nil where the zeros are the same
}

// prefixes are the metric prefixes, as powers of ten.
var prefixes = map[string]int{
	"Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2, "m": -3,
	"u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}

// atoms are units with what they are made of: "*" for those that take
// prefixes, a factor, and a term of other units; "!" for a base unit.
const atoms = `
m * !
s * !
g * !
rad * !
K * !
C * !
cd * !
mol * 6.02214076 10*23
sr * 1 rad2
Hz * 1 s-1
N * 1 kg.m/s2
Pa * 1 N/m2
J * 1 N.m
W * 1 J/s
A * 1 C/s
V * 1 J/C
F * 1 C/V
Ohm * 1 V/A
S * 1 Ohm-1
Wb * 1 V.s
T * 1 Wb/m2
H * 1 Wb/A
lm * 1 cd.sr
lx * 1 lm/m2
Bq * 1 s-1
Gy * 1 J/kg
Sv * 1 J/kg
kat * 1 mol/s
U * 1 umol/min
l * 1 dm3
L * 1 dm3
ar * 100 m2
t * 1000 kg
bar * 100000 Pa
u * 1.66053906660 10*-24.g
eV * 1.602176634 10*-19.J
pc * 3.085678 10*16.m
eq * 1 mol
osm * 1 mol
Ci * 37000000000 Bq
R * 2.58 10*-4.C/kg
RAD * 1 10*-2.Gy
REM * 1 10*-2.Sv
P * 1 dyn.s/cm2
St * 1 cm2/s
G * 1 10*-4.T
Mx * 1 10*-8.Wb
dyn * 1 10*-5.N
erg * 1 10*-7.J
Gal * 1 cm/s2
tex * 1 g/km
bit * 1 1
B[10.nV] - !
By * 8 bit
Bd * 1 s-1
cal * 4.184 J
cal_th * 4.184 J
cal_[15] * 4.18580 J
cal_[20] * 4.18190 J
cal_m * 4.19002 J
cal_IT * 4.1868 J
[Cal] - 1 kcal
m[H2O] * 9806.65 Pa
m[Hg] * 133322.387415 Pa
mho * 1 S
[iU] * !
[IU] * 1 [iU]
[arb'U] - !
[USP'U] - !
[GPL'U] - !
[MPL'U] - !
[APL'U] - !
[CCID_50] - !
[TCID_50] - !
[EID_50] - !
[PFU] - !
[FFU] - !
[CFU] - !
[LPF] - 100 1
[HPF] - 1 1
[drp] - 1/20 ml
[pH] - !
[hp_X] - !
[hp_C] - !
[S] - 1 10*-13.s
min - 60 s
h - 60 min
d - 24 h
wk - 7 d
a - 365.25 d
a_t - 365.24219 d
a_j - 365.25 d
a_g - 365.2425 d
mo - 1/12 a_j
mo_j - 1/12 a_j
mo_g - 1/12 a_g
mo_s - 29.53059 d
deg - 3.14159265358979323846/180 rad
' - 1/60 deg
'' - 1/60 '
gon - 0.9 deg
circ - 6.28318530717958647692 rad
10* - 10 1
10^ - 10 1
% - 1/100 1
[ppth] - 1 10*-3
[ppm] - 1 10*-6
[ppb] - 1 10*-9
[pptr] - 1 10*-12
[pi] - 3.1415926535897932384626433832795 1
[in_i] - 2.54 cm
[ft_i] - 12 [in_i]
[yd_i] - 3 [ft_i]
[mi_i] - 5280 [ft_i]
[fth_i] - 6 [ft_i]
[nmi_i] - 1852 m
[kn_i] - 1 [nmi_i]/h
[sin_i] - 1 [in_i]2
[sft_i] - 1 [ft_i]2
[cin_i] - 1 [in_i]3
[cft_i] - 1 [ft_i]3
[mil_i] - 1/1000 [in_i]
[hd_i] - 4 [in_i]
[ft_us] - 1200/3937 m
[in_us] - 1/12 [ft_us]
[yd_us] - 3 [ft_us]
[mi_us] - 5280 [ft_us]
[gr] - 64.79891 mg
[lb_av] - 7000 [gr]
[oz_av] - 1/16 [lb_av]
[dr_av] - 1/16 [oz_av]
[ston_av] - 2000 [lb_av]
[lton_av] - 2240 [lb_av]
[stone_av] - 14 [lb_av]
[scwt_av] - 100 [lb_av]
[lcwt_av] - 112 [lb_av]
[pwt_tr] - 24 [gr]
[oz_tr] - 480 [gr]
[lb_tr] - 12 [oz_tr]
[sc_ap] - 20 [gr]
[dr_ap] - 3 [sc_ap]
[oz_ap] - 8 [dr_ap]
[lb_ap] - 12 [oz_ap]
[lbf_av] - 1 [lb_av].[g]
[gal_us] - 231 [in_i]3
[qt_us] - 1/4 [gal_us]
[pt_us] - 1/2 [qt_us]
[gil_us] - 1/4 [pt_us]
[foz_us] - 1/4 [gil_us]
[fdr_us] - 1/8 [foz_us]
[min_us] - 1/60 [fdr_us]
[cup_us] - 16 [tbs_us]
[tbs_us] - 1/2 [foz_us]
[tsp_us] - 1/3 [tbs_us]
[cup_m] - 240 ml
[tbs_m] - 15 ml
[tsp_m] - 5 ml
[foz_m] - 30 ml
[bbl_us] - 42 [gal_us]
[gal_br] - 4.54609 l
[pt_br] - 1/8 [gal_br]
[foz_br] - 1/20 [pt_br]
[psi] - 1 [lbf_av]/[in_i]2
[in_i'H2O] - 1 m[H2O].[in_i]/m
[in_i'Hg] - 1 m[Hg].[in_i]/m
atm - 101325 Pa
att - 1 10*4.kg.[g]/m2
[g] * 9.80665 m/s2
[c] * 299792458 m/s
[degR] - 5/9 K
[Btu] - 1.05505585262 kJ
[HP] - 550 [ft_i].[lbf_av]/s
AU - 149597.870691 Mm
b - 100 fm2
[car_m] - 0.2 g
[Ch] - 1/3 mm
[MET] - 3.5 ml/min/kg
[diop] - 1 m-1
[den] - 1/9 g/km
[p'diop] - !
[knk'U] - !
[mclg'U] - !
[todd'U] - !
[dye'U] - !
[smgy'U] - !
[bdsk'U] - !
[ka'U] - !
[Amb'a'1'U] - !
[D'ag'U] - !
[AU] - !
[BAU] - !
[FEU] - 1 1
[ELU] - !
[EU] - !
[Lf] - !
[PNU] - !
[RFU] - !
[anti'Xa'U] - !
[beth'U] - !
[crb'U] - !
[den'U] - !
[hnsf'U] - 1 1
[kp_C] - !
[lbf'U] - !
[m/s2/Hz^0.5] - !
`

type atom struct {
	metric, base bool
	factor, term string
}

var table = sync.OnceValue(func() map[string]atom {
	table := map[string]atom{}
	for line := range strings.Lines(atoms) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3:
			table[f[0]] = atom{metric: f[1] == "*", base: true}
		case len(f) == 4:
			table[f[0]] = atom{metric: f[1] == "*", factor: f[2], term: f[3]}
		}
	}
	return table
})

// MaxLength is the most bytes of a unit, which may come from a resource.
const MaxLength = 80

// maxPower is the highest power of one unit.
const maxPower = 24

// Parse reads a unit. ok is false for what is none, and for units longer than
// MaxLength.
func Parse(s string) (u Unit, ok bool) {
	switch s {
	case "Cel":
		return Unit{big.NewRat(1, 1), map[string]int{"K": 1}, big.NewRat(27315, 100)}, true
	case "[degF]":
		return Unit{big.NewRat(5, 9), map[string]int{"K": 1}, big.NewRat(45967, 100)}, true
	case "":
		return Unit{}, false
	}
	if len(s) > MaxLength {
		return Unit{}, false
	}
	u = Unit{factor: big.NewRat(1, 1), bases: map[string]int{}}
	p := &parser{s: s}
	if !p.term(&u, 1, 0) || p.at != len(p.s) {
		return Unit{}, false
	}
	maps.DeleteFunc(u.bases, func(_ string, power int) bool { return power == 0 })
	return u, true
}

type parser struct {
	s  string
	at int
}

// term reads components with "." and "/" between them into u, raised to power.
func (p *parser) term(u *Unit, power, depth int) bool {
	if depth > 8 {
		return false
	}
	each := power
	if strings.HasPrefix(p.s[p.at:], "/") {
		each = -power
		p.at++
	}
	for {
		if !p.component(u, each, depth) {
			return false
		}
		if p.at == len(p.s) || p.s[p.at] == ')' {
			return true
		}
		switch p.s[p.at] {
		case '.':
			each = power
		case '/':
			each = -power
		default:
			return false
		}
		p.at++
	}
}

// component reads a unit with its power and annotation, a number, or brackets.
func (p *parser) component(u *Unit, power, depth int) bool {
	if p.at >= len(p.s) {
		return false
	}
	if p.s[p.at] == '(' {
		p.at++
		if !p.term(u, power, depth+1) || p.at >= len(p.s) {
			return false
		}
		p.at++
		return true
	}
	if p.s[p.at] == '{' {
		return p.annotation()
	}
	code := p.code()
	if n, err := strconv.ParseUint(code, 10, 31); err == nil {
		return n > 0 && u.scale(new(big.Rat).SetInt64(int64(n)), power)
	}
	if code == "" {
		return false
	}
	if exponent, ok := p.exponent(); ok {
		power *= exponent
	}
	if power > maxPower || power < -maxPower || !u.atom(code, power, depth) {
		return false
	}
	return p.at == len(p.s) || p.s[p.at] != '{' || p.annotation()
}

func (p *parser) annotation() bool {
	end := strings.IndexByte(p.s[p.at:], '}')
	p.at += end + 1
	return end > 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// code reads the letters of a unit, or a number.
func (p *parser) code() string {
	start := p.at
	for _, tens := range []string{"10*", "10^"} {
		if strings.HasPrefix(p.s[p.at:], tens) {
			p.at += 3
			return tens
		}
	}
	number := isDigit(p.s[p.at])
	for p.at < len(p.s) {
		c := p.s[p.at]
		if c == '[' {
			end := strings.IndexByte(p.s[p.at:], ']')
			if end < 0 {
				return ""
			}
			p.at += end + 1
			continue
		}
		if strings.IndexByte("./(){}+-", c) >= 0 || isDigit(c) != number {
			break
		}
		p.at++
	}
	return p.s[start:p.at]
}

func (p *parser) exponent() (int, bool) {
	end := p.at
	if end < len(p.s) && (p.s[end] == '+' || p.s[end] == '-') {
		end++
	}
	for end < len(p.s) && isDigit(p.s[end]) {
		end++
	}
	n, err := strconv.Atoi(p.s[p.at:end])
	if err != nil || n > maxPower || n < -maxPower {
		return 0, false
	}
	p.at = end
	return n, true
}

// atom multiplies u by a unit, with or without a prefix.
func (u *Unit) atom(code string, power, depth int) bool {
	all := table()
	if a, ok := all[code]; ok {
		return u.known(code, a, power, depth)
	}
	for length := 2; length >= 1; length-- {
		if len(code) <= length {
			continue
		}
		tens, ok := prefixes[code[:length]]
		a, metric := all[code[length:]]
		if ok && metric && a.metric {
			return u.scale(PowerOfTen(tens), power) && u.known(code[length:], a, power, depth)
		}
	}
	return false
}

func (u *Unit) known(code string, a atom, power, depth int) bool {
	if a.base {
		u.bases[code] += power
		return true
	}
	factor, ok := new(big.Rat).SetString(a.factor)
	if !ok { // a quotient of decimals
		over, under, _ := strings.Cut(a.factor, "/")
		x, okX := new(big.Rat).SetString(over)
		y, okY := new(big.Rat).SetString(under)
		if !okX || !okY {
			return false
		}
		factor = x.Quo(x, y)
	}
	p := &parser{s: a.term}
	return u.scale(factor, power) && p.term(u, power, depth+1)
}

// scale multiplies the factor by a number raised to power; a factor that grows
// beyond every use is none.
func (u *Unit) scale(by *big.Rat, power int) bool {
	if power < 0 {
		by, power = new(big.Rat).Inv(by), -power
	}
	for range power {
		u.factor.Mul(u.factor, by)
	}
	return u.factor.Num().BitLen() < 8192 && u.factor.Denom().BitLen() < 8192
}

// PowerOfTen is 10 to the power of n.
func PowerOfTen(n int) *big.Rat {
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), ten)
	}
	return new(big.Rat).SetInt(ten)
}

// Same reports whether two units measure the same.
func (u Unit) Same(o Unit) bool { return maps.Equal(u.bases, o.bases) }

// Larger reports whether one of this unit is more than one of another that
// measures the same.
func (u Unit) Larger(o Unit) bool { return u.factor.Cmp(o.factor) > 0 }

// Shifted reports whether the unit has a zero of its own, as Celsius has.
func (u Unit) Shifted() bool { return u.offset != nil }

// Base converts a number of this unit to base units.
func (u Unit) Base(n *big.Rat) *big.Rat {
	out := new(big.Rat).Set(n)
	if u.offset != nil {
		out.Add(out, u.offset)
	}
	return out.Mul(out, u.factor)
}

// Of converts a number of base units to this unit.
func (u Unit) Of(n *big.Rat) *big.Rat {
	out := new(big.Rat).Quo(n, u.factor)
	if u.offset != nil {
		out.Sub(out, u.offset)
	}
	return out
}
