package mask

import (
	"strings"
	"testing"
)

func BenchmarkMask(b *testing.B) {
	for name, text := range map[string]string{"short": "Здравствуйте, это Анна, запишите на стрижку завтра, мой номер 8 (999) 000-00-11", "long": strings.Repeat("воткните меня к мастеру на завтра ", 30)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				masker.Mask(text, Known{Name: "Анна Кравец", Phone: "+79990000011"})
			}
		})
	}
}
