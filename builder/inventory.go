package builder

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/imgops/imgops/images/ledger"
)

// inventoryScript lists packages, services and /etc.
//
//go:embed inventory.sh
var inventoryScript string

// withInventory is the cleaning followed by the listing, as one script: the cleaning takes the sudo rules away by which
// another command could become root. What the cleaning prints goes to standard error, the listing to standard output.
func withInventory(boundary string) string {
	return "exec 3>&1 1>&2\n" + cleanScript + "\nset +eu\nboundary=" + boundary + "\nexec 1>&3 3>&-\n" + inventoryScript
}

// maxInventory is how much of a listing is taken, in bytes.
const maxInventory = 16 << 20

// limited keeps what is written to it, up to maxInventory.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxInventory - l.Len(); len(p) > room {
		_, _ = l.Buffer.Write(p[:max(room, 0)]) // never fails (bytes.Buffer)
		return len(p), nil
	}
	return l.Buffer.Write(p)
}

var _ io.Writer = (*limited)(nil)

// parseInventory reads what inventory.sh prints.
func parseInventory(out []byte, boundary string) (ledger.Inventory, error) {
	inv := ledger.Inventory{Packages: []ledger.Package{}, Services: []ledger.Service{}, Etc: []ledger.File{}}
	var etc, sums string
	ended := false
	for _, part := range strings.Split(string(out), "\n"+boundary+" ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		switch name {
		case "dpkg", "rpm":
			inv.Packages = append(inv.Packages, parsePackages(name, body)...)
		case "units":
			inv.Services = parseUnits(body)
		case "etc":
			etc = body
		case "sums":
			sums = body
		case "end":
			ended = true
		}
	}
	if !ended {
		return inv, errors.New("the listing of the machine's packages and files is not whole")
	}
	files, err := parseEtc(etc, sums)
	inv.Etc = files
	return inv, err
}

// parsePackages leaves out what is not installed: dpkg remembers packages whose configuration is still there.
func parsePackages(manager, body string) []ledger.Package {
	var list []ledger.Package
	for line := range strings.Lines(body) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) == 4 && f[3] == "installed" {
			list = append(list, ledger.Package{Manager: manager, Name: f[0], Arch: f[1], Version: f[2]})
		}
	}
	return list
}

// parseUnits reads UNIT STATE [PRESET]. What systemd made up while the machine ran is not in the image.
func parseUnits(body string) []ledger.Service {
	list := []ledger.Service{}
	for line := range strings.Lines(body) {
		if f := strings.Fields(line); len(f) >= 2 && f[1] != "transient" && f[1] != "generated" {
			list = append(list, ledger.Service{Unit: f[0], State: f[1]})
		}
	}
	return list
}

var fileTypes = map[string]string{"f": "file", "d": "dir", "l": "link"}

// etcFields is how many parts find prints of each file.
const etcFields = 7

func parseEtc(etc, sums string) ([]ledger.File, error) {
	bySum := map[string]string{}
	for line := range strings.SplitSeq(sums, "\x00") {
		if sum, path, ok := strings.Cut(line, " "); ok && len(path) > 1 {
			bySum[path[1:]] = sum // the character before the name tells text from binary
		}
	}
	parts := strings.Split(etc, "\x00")
	list := []ledger.File{}
	for ; len(parts) >= etcFields; parts = parts[etcFields:] {
		mode, err := strconv.ParseUint(parts[1], 8, 32)
		if err != nil {
			return list, fmt.Errorf("the listing of /etc has the mode %q: %w", parts[1], err)
		}
		f := ledger.File{Path: parts[5], Type: "other", Mode: fmt.Sprintf("%04o", mode), Owner: parts[2], Group: parts[3], Link: parts[6]}
		if t := fileTypes[parts[0]]; t != "" {
			f.Type = t
		}
		if f.Type == "file" {
			f.Size, _ = strconv.ParseInt(parts[4], 10, 64) // find prints digits
			f.Sum = bySum[f.Path]
			if f.Sum != "" && ledger.Private(uint32(mode)) {
				if f.Sum, err = ledger.Conceal(f.Path, f.Sum); err != nil {
					return list, err
				}
			}
		}
		list = append(list, f)
	}
	return list, nil
}
