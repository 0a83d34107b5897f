'use strict';
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  // Search and filters. What is shown: an item whose text has every word and whose change is one
  // of those asked for; of a table of rows, only such rows.
  const input = one('#q');
  const hits = one('#hits');
  const chips = all('.chip');
  const items = all('.item').map((element) => ({
    element,
    change: (element.dataset.c || '').split(' '),
    records: all('.rec', element).map((row) => ({ element: row, change: row.dataset.c.split(' ') })),
    head: element.querySelector('.head'),
  }));
  const texts = new WeakMap();
  const text = (element) => {
    if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase());
    return texts.get(element);
  };
  const links = all('nav .to').map((element) => ({
    element, target: document.getElementById(element.querySelector('a').hash.slice(1)),
  }));
  const groups = [...all('.grid'), ...all('.portion'), ...all('.counts'), ...all('.card'), ...all('.kind'), ...all('.group:has(.item)')];
  const nothing = one('.nothing');
  const has = (words, where) => words.every((word) => where.includes(word));

  const showItem = (item, words, wanted) => {
    const right = (change) => !wanted.length || change.some((name) => wanted.includes(name));
    if (!item.head) return right(item.change) && has(words, text(item.element));
    const head = text(item.head);
    let found = 0;
    for (const row of item.records) {
      const fits = right(row.change) && (has(words, head) || has(words, `${head} ${text(row.element)}`));
      row.element.hidden = !fits;
      found += fits;
    }
    return found > 0;
  };

  const count = (shown, some, noun) => `${shown.toLocaleString('en')} of ${some.toLocaleString('en')} ${noun}`;
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = chips.filter((chip) => chip.ariaPressed === 'true').map((chip) => chip.dataset.c);
    const filtering = words.length > 0 || wanted.length > 0;
    let shown = 0;
    for (const item of items) {
      const fits = !filtering || showItem(item, words, wanted);
      if (!filtering) for (const row of item.records) row.element.hidden = false;
      item.element.hidden = !fits;
      shown += fits;
    }
    for (const group of groups) group.hidden = filtering && !group.querySelector('.item:not([hidden]), .rec:not([hidden])');
    for (const link of links) link.element.hidden = Boolean(link.target && link.target.hidden);
    for (const details of all('.equal')) details.open = words.length > 0;
    for (const details of all('.portion')) details.open = filtering;
    hits.textContent = filtering ? count(shown, items.length, 'entries') : '';
    nothing.hidden = !filtering || shown > 0;
    highlight(words);
  };

  // Marks what was searched for, without touching the document.
  const highlight = (words) => {
    if (!CSS.highlights) return;
    CSS.highlights.delete('found');
    if (!words.length) return;
    const ranges = [];
    const walker = document.createTreeWalker(one('main'), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && ranges.length < 2000; node = walker.nextNode()) {
      const low = node.data.toLowerCase();
      if (low.length !== node.data.length) continue;
      for (const word of words) {
        for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + word.length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set('found', new Highlight(...ranges));
  };

  let timer = 0;
  const clear = () => {
    input.value = '';
    for (const chip of chips) chip.ariaPressed = 'false';
    apply();
  };
  input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(apply, items.length > 300 ? 120 : 0); });
  for (const chip of chips) {
    chip.addEventListener('click', () => {
      chip.ariaPressed = String(chip.ariaPressed !== 'true');
      apply();
    });
  }
  one('.clear').addEventListener('click', () => { clear(); input.focus(); });
  document.addEventListener('keydown', (event) => {
    const typing = event.target.matches('input, textarea, select, [contenteditable]');
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === 'Escape' && event.target === input) {
      clear();
    }
  });
  // A link to what is filtered away takes the filter away.
  addEventListener('hashchange', () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.closest('[hidden]')) { clear(); target.scrollIntoView(); }
  });
  one('.tools').hidden = items.length === 0;
})();
