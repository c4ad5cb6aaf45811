package capture

import "strings"

// code128Bars are the widths of bars and gaps of values 0 to 105 and the stop (ISO/IEC 15417, table 1).
var code128Bars = strings.Fields(`
212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 123122 123221
223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 232121 111323 131123 131321
112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113 213311 213131
311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114
122411 142112 142211 241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141
214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 211232 2331112`)

// code128 is text (printable ASCII) in code set B: true is a bar, one element a module.
func code128(text string) (modules []bool) {
	const startB, stop = 104, 106
	values, check := []int{startB}, startB
	for i, c := range []byte(text) {
		values = append(values, int(c)-' ')
		check += (i + 1) * (int(c) - ' ')
	}
	for _, value := range append(values, check%103, stop) {
		for i, width := range []byte(code128Bars[value]) {
			for range width - '0' {
				modules = append(modules, i%2 == 0)
			}
		}
	}
	return modules
}

// The one kind of QR code drawn here (ISO/IEC 18004): version 2, error correction L, mask 0.
const (
	qrSide   = 25
	qrData   = 34     // bytes
	qrCheck  = 10     // Reed-Solomon bytes
	qrText   = 32     // bytes of text that fit
	qrFormat = 0x77c4 // level L and mask 0 with their own check bits
)

// qr is a code while it is drawn: what is dark, and what the data may not use.
type qr struct{ dark, taken [qrSide][qrSide]bool }

// qrModules is text of at most 32 bytes as rows of a QR code; true is dark.
func qrModules(text []byte) (rows [][]bool) {
	var q qr
	q.finder(0, 0)
	q.finder(qrSide-7, 0)
	q.finder(0, qrSide-7)
	q.ring(18, 18, 2) // the alignment pattern
	for i := 8; i < qrSide-8; i++ {
		q.set(i, 6, i%2 == 0)
		q.set(6, i, i%2 == 0)
	}
	q.format()
	q.fill(qrBytes(text[:min(len(text), qrText)]))
	for y := range q.dark {
		rows = append(rows, q.dark[y][:])
	}
	return rows
}

func (q *qr) set(x, y int, dark bool) {
	if x >= 0 && y >= 0 && x < qrSide && y < qrSide {
		q.dark[y][x], q.taken[y][x] = dark, true
	}
}

// ring draws squares inside each other around a centre: dark at distances 0 and, by the standard, all but 1 (alignment)
// or all but 2 and 4 (finder, distance 1 being dark too).
func (q *qr) ring(x, y, reach int) {
	for dy := -reach; dy <= reach; dy++ {
		for dx := -reach; dx <= reach; dx++ {
			away := max(dx, -dx, dy, -dy)
			light := away == 1 && reach == 2 || reach == 4 && (away == 2 || away == 4)
			q.set(x+dx, y+dy, !light)
		}
	}
}

func (q *qr) finder(x, y int) { q.ring(x+3, y+3, 4) }

// format draws both copies of the format bits, bit 0 first.
func (q *qr) format() {
	down := []int{0, 1, 2, 3, 4, 5, 7, 8, qrSide - 7, qrSide - 6, qrSide - 5, qrSide - 4, qrSide - 3, qrSide - 2, qrSide - 1}
	left := []int{0, 1, 2, 3, 4, 5, 7, qrSide - 8, qrSide - 7, qrSide - 6, qrSide - 5, qrSide - 4, qrSide - 3, qrSide - 2, qrSide - 1}
	for i := range 15 {
		dark := qrFormat>>i&1 == 1
		q.set(8, down[i], dark)
		q.set(left[14-i], 8, dark)
	}
	q.set(8, qrSide-8, true) // always dark
}

// fill puts the bytes' bits into what is free: up and down in columns of two from the right, without column 6.
func (q *qr) fill(data []byte) {
	bit, up := 0, true
	for right := qrSide - 1; right > 0; right -= 2 {
		if right == 6 {
			right--
		}
		for i := range qrSide {
			y := i
			if up {
				y = qrSide - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if q.taken[y][x] {
					continue
				}
				dark := bit/8 < len(data) && data[bit/8]>>(7-bit%8)&1 == 1
				q.dark[y][x] = dark != ((x+y)%2 == 0) // mask 0
				bit++
			}
		}
		up = !up
	}
}

// qrBytes is text in byte mode, filled up, with its Reed-Solomon bytes.
func qrBytes(text []byte) []byte {
	bits := []byte{4, byte(len(text) >> 4), byte(len(text) & 15)} // half bytes: the mode, the length
	for _, c := range text {
		bits = append(bits, c>>4, c&15)
	}
	bits = append(bits, 0) // the terminator
	var data []byte
	for i := 0; i+1 < len(bits); i += 2 {
		data = append(data, bits[i]<<4|bits[i+1])
	}
	for pad := byte(0xec); len(data) < qrData; pad ^= 0xec ^ 0x11 {
		data = append(data, pad)
	}
	return append(data, remainder(data)...)
}

// remainder divides data, a polynomial over GF(256) modulo 0x11d, by the generator (x-1)(x-2)(x-4)...
func remainder(data []byte) []byte {
	generator, root := []byte{1}, byte(1)
	for range qrCheck {
		next := append(generator, 0)
		for i := len(next) - 1; i > 0; i-- {
			next[i] ^= times(next[i-1], root)
		}
		generator, root = next, times(root, 2)
	}
	rest := append(append([]byte(nil), data...), make([]byte, qrCheck)...)
	for i := range data {
		factor := rest[i]
		for j, g := range generator {
			rest[i+j] ^= times(g, factor)
		}
	}
	return rest[len(data):]
}

// times multiplies in GF(256) modulo x^8+x^4+x^3+x^2+1.
func times(a, b byte) (product byte) {
	for ; b != 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		carry := a >> 7
		a = a<<1 ^ carry*0x1d
	}
	return product
}
