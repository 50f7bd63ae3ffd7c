package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// makeDir makes a directory that only its owner can read: private keys live below it.
func makeDir(path string) (string, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("making %s: %w", path, err)
	}
	return path, nil
}

// ignoreDir makes a directory that Git ignores by itself, whatever the fleet's .gitignore says.
func ignoreDir(path string) error {
	if _, err := makeDir(path); err != nil {
		return err
	}
	file := filepath.Join(path, ".gitignore")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := os.WriteFile(file, []byte("*\n"), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
