package roles

import (
	"slices"
	"strings"
)

// nearest gives the known word that the written one was probably meant to be; "" when none is close.
func nearest(word string, known []string) string {
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the number of edits (insert, delete, replace, swap of neighbours) between two words.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			replace := rows[i-1][j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}

// quoteList writes `"a", "b"`, sorted.
func quoteList(words []string) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(words)))
	for i, w := range sorted {
		sorted[i] = `"` + w + `"`
	}
	return strings.Join(sorted, ", ")
}

// choose writes the fix for a word that is not among the known ones.
func choose(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return `did you mean "` + near + `"? Known: ` + quoteList(known)
	}
	if len(known) == 0 {
		return "none is known here"
	}
	return "use one of " + quoteList(known)
}
