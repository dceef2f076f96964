-- A SKU that was an item before another one became it is looked for by the item.
create index item_by_item on stock.item (connection, item);
