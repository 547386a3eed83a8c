// What `rookery bench voice` measures beside, of pion: a small SFU, a bare loop of its RTP and SRTP, and the members that
// both the SFU and the node are measured with.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime/debug"
)

// version says which one of a module is built in.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return ""
}

// answer writes a line.
func answer(what any) error {
	return json.NewEncoder(os.Stdout).Encode(what)
}

func run() error {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "sfu":
			return sfu()
		case "members":
			return members()
		case "loop":
			return loop()
		}
	}
	return fmt.Errorf("usage: %s sfu|members|loop", os.Args[0])
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
