package roles

import (
	"slices"
	"strings"
)

// conversion is what Git does to a blob when it checks it out, by the attributes that are committed (gitattributes(5),
// "Checking-out and checking-in"), on a system whose lines end with LF. Settings of a clone, such as core.autocrlf, have no
// say: the same commit makes the same image everywhere.
type conversion struct {
	ends     string // "eol=crlf", or "text=auto eol=crlf" where that is for what looks like text; "" for none
	ident    bool
	encoding string
	filter   string // the name of the driver; Git LFS's, whose content imgops finds itself, is none
}

// convertingAttributes are those that can make a checked-out file another than its blob.
var convertingAttributes = []string{"eol", "ident", "working-tree-encoding", "filter"}

func (c conversion) none() bool { return c == conversion{} }

// String is how the conversion stands in a digest, and in .gitattributes.
func (c conversion) String() string {
	var words []string
	if c.ends != "" {
		words = append(words, c.ends)
	}
	if c.ident {
		words = append(words, "ident")
	}
	if c.encoding != "" {
		words = append(words, "working-tree-encoding="+c.encoding)
	}
	if c.filter != "" {
		words = append(words, "filter="+c.filter)
	}
	return strings.Join(words, " ")
}

// conversionOf follows from the attributes of a file (convert_attrs in Git's convert.c).
func conversionOf(said map[string]string) conversion {
	c := conversion{ident: said["ident"] == "+", encoding: valueOf(said["working-tree-encoding"]), filter: valueOf(said["filter"])}
	if c.filter == "lfs" {
		c.filter = ""
	}
	if name := strings.ToLower(c.encoding); name == "utf-8" || name == "utf8" {
		c.encoding = ""
	}
	switch text := textOf(said); {
	case said["eol"] != "=crlf" || text == "-":
	case text == "=auto":
		c.ends = "text=auto eol=crlf"
	default:
		c.ends = "eol=crlf"
	}
	return c
}

func valueOf(state string) string {
	value, _ := strings.CutPrefix(state, "=")
	if value == state {
		return ""
	}
	return value
}

// textOf is what is said of whether a file is text: "+", "-", "=auto", "=input", or "" for nothing. The attribute was once
// called crlf.
func textOf(said map[string]string) string {
	for _, state := range []string{said["text"], said["crlf"]} {
		if slices.Contains([]string{"+", "-", "=auto", "=input"}, state) {
			return state
		}
	}
	return ""
}

func convertingAttrs(attrs []attribute) bool {
	return slices.ContainsFunc(attrs, func(a attribute) bool {
		return slices.Contains(convertingAttributes, a.name) && a.state != "-" && a.state != "!" && a.name+a.state != "filter=lfs" && a.name+a.state != "eol=lf"
	})
}

// converting are those of the rules after which a file may have to be converted: what none of them is about needs no more
// asking. Most files of attributes say only what is text, which changes nothing here.
func (rules attributeRules) converting() attributeRules {
	macros := rules.macros()
	return slices.DeleteFunc(slices.Clone(rules), func(rule attributeRule) bool {
		return rule.macro != "" || !convertingAttrs(rule.attrs) && !slices.ContainsFunc(rule.attrs, func(a attribute) bool { return a.state == "+" && a.name != "binary" && macros[a.name] != nil })
	})
}

// conversion gives what is done to one file; others are the rules that converting gave.
func (rules attributeRules) conversion(p string, converting attributeRules) conversion {
	for i := range converting {
		if converting[i].pattern.matches(p, false) {
			return conversionOf(rules.of(p))
		}
	}
	return conversion{}
}
