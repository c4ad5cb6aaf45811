package board

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// sortNumbered sorts names with a number at the end by that number.
func sortNumbered(names []string) {
	slices.SortFunc(names, func(a, b string) int {
		aText, aNumber := splitNumber(a)
		bText, bNumber := splitNumber(b)
		return cmp.Or(strings.Compare(aText, bText), cmp.Compare(aNumber, bNumber), strings.Compare(a, b))
	})
}

// splitNumber splits thermal_zone12 into its text and 12.
func splitNumber(name string) (string, int) {
	text := strings.TrimRight(name, "0123456789")
	n, _ := strconv.Atoi(name[len(text):])
	return text, n
}

// compareVersions compares 10.3.0 and 9.12 number by number.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, _ := strconv.Atoi(x)
		n, _ := strconv.Atoi(y)
		if m != n {
			return cmp.Compare(m, n)
		}
	}
	return 0
}

// AtLeast reports whether a version such as 36.4.0 is minimum or later; false for "".
func AtLeast(version, minimum string) bool {
	return version != "" && compareVersions(version, minimum) >= 0
}
